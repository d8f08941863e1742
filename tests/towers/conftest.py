"""A funnel beside the towers of the tiny shop, and users to evaluate it on."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from towers.candidates import FunnelResult
    from towers.metrics.cases import Cases
    from towers.model.scorer import VectorScorer

FUNNEL_OVERRIDES = [
    "threads=1",
    "bootstrap_samples=50",
    "depth=8",
    "channel_depth=5",
    "candidates=9",
    "certainty=0",
    "folds=2",
    "queries.least=8",
]


@pytest.fixture(scope="session")
def tiny_funnel(tiny_run: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> "FunnelResult":
    """The outcome of training a funnel, in a copy of the tiny run."""
    from data_prep.command import load_config
    from towers.candidates import FunnelConfig
    from towers.train_funnel import train_funnel

    run = tmp_path_factory.mktemp("funnel") / "run"
    shutil.copytree(tiny_run, run)
    overrides = [f"run={run}", f"data={tiny_data}", *FUNNEL_OVERRIDES]
    result = train_funnel(load_config(FunnelConfig, "funnel", overrides))
    assert result.users is not None
    return result.users


@pytest.fixture(scope="session")
def tiny_cases(tiny_data: Path) -> "Cases":
    """Users of the test split."""
    from data_prep.columns import Split
    from data_prep.dataset import Dataset
    from towers.events.reading import read_sequences
    from towers.metrics.cases import Cases

    dataset = Dataset.open(tiny_data)
    item_ids = [str(item_id) for item_id in dataset.items["item_id"]]
    return Cases.held_out(read_sequences(dataset, ""), item_ids, Split.TEST, True, [5, 10])


@pytest.fixture(scope="session")
def tiny_scorer(tiny_run: Path, tiny_data: Path) -> "VectorScorer":
    """The tiny run's one vector."""
    from data_prep.dataset import Dataset
    from towers.model.one_vector import OneVectorModel
    from towers.model.scorer import model_scorer

    return model_scorer("one vector", OneVectorModel.open(tiny_run), Dataset.open(tiny_data).items)
