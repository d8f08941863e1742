"""Late fusion beside a run's own scorers, in the benchmark alone."""

from pathlib import Path

import pytest

from benchmarks.quality.late_fusion import LATE_FUSED, WEIGHTS, evaluate_fused
from data_prep.command import load_config
from data_prep.files import read_json
from towers.evaluate import METRICS
from towers.train import train
from towers.training.config import TrainConfig


@pytest.fixture(scope="module")
def plain_run(tiny_train_overrides: list[str], artifacts: Path) -> Path:
    """A run without blocks."""
    run = artifacts / "runs" / "plain"
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, "blocks=none", "trainer.epochs=1"]), run)
    return run


def test_channels_are_weighed_on_validation_and_stand_beside_the_models_own_scorers(plain_run: Path) -> None:
    overrides = [f"run={plain_run}", "evaluation.cutoffs=[10]", "threads=1"]
    evaluate_fused(["cooccurrence", "tf_idf"], overrides)
    assert read_json(plain_run / WEIGHTS).keys() == {"cooccurrence", "tf_idf"}
    scorers = read_json(plain_run / METRICS)["scorers"]
    assert LATE_FUSED in scorers and "two towers" in scorers
    assert "one vector" not in scorers  # there are no blocks
