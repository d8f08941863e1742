"""`python -m towers.train_ranker` on the tiny shop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import load_config
from data_prep.errors import UsageError
from data_prep.prepare import PrepareConfig, prepare
from tests.tiny import RANKER_OVERRIDES, TRAIN_OVERRIDES, tabular_overrides
from towers import CrossEncoder
from towers.ranking.config import RankerConfig
from towers.train import train as train_towers
from towers.train_ranker import RankerResult, train_ranker
from towers.training.config import TrainConfig

Train = Callable[..., RankerResult]


def config(*overrides: str) -> RankerConfig:
    return load_config(RankerConfig, "train_ranker", ["run=x", *overrides])


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run without a cross-encoder."""
    return shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("cross_encoder", "checkpoints"))


@pytest.fixture
def train(run: Path, tiny_data: Path, tiny_encoder: Path) -> Train:
    """`train("name=teacher")` trains a cross-encoder for the copy."""

    def call(*overrides: str) -> RankerResult:
        line = [f"run={run}", f"data={tiny_data}", f"model.folder={tiny_encoder.parent / 'bert'}", *RANKER_OVERRIDES]
        return train_ranker(load_config(RankerConfig, "train_ranker", [*line, *overrides]))

    return call


def test_a_student_learns_its_teachers_margins(train: Train, run: Path):
    train("name=teacher", "model.layers=2", "model.width=64")
    teacher = CrossEncoder.load(run / "teacher")
    result = train("ranking_loss=margin_mse", f"teacher={run / 'teacher'}", "model.width=64", "trainer.epochs=2")
    student = CrossEncoder.load(run / "cross_encoder")
    assert (len(student.backbone.encoder.layer), len(teacher.backbone.encoder.layer)) == (1, 2)
    assert json.loads((run / "cross_encoder" / "run.json").read_text())["config"]["teacher"] == str(run / "teacher")
    assert result.users is not None


def test_loss_and_teacher_have_to_go_together(train: Train, run: Path):
    with pytest.raises(UsageError, match="teacher: ranking_loss learns from a teacher's scores"):
        train("ranking_loss=margin_mse")
    with pytest.raises(UsageError, match="Softmax learns from no teacher"):
        train(f"teacher={run}")
    with pytest.raises(UsageError, match=r"nobody/run\.json is missing.*towers\.train_ranker makes a new one"):
        train("ranking_loss=margin_mse", f"teacher={run / 'nobody'}")


def test_a_teacher_of_other_examples_is_refused(train: Train, run: Path):
    train("name=teacher")
    with pytest.raises(UsageError, match="trained with seed=0, the student with 1"):
        train("ranking_loss=margin_mse", f"teacher={run / 'teacher'}", "seed=1")
    marks = json.loads((run / "teacher" / "run.json").read_text())
    (run / "teacher" / "run.json").write_text(json.dumps(marks | {"towers_fingerprint": "0123"}))
    with pytest.raises(UsageError, match="trained for towers 0123"):
        train("ranking_loss=margin_mse", f"teacher={run / 'teacher'}")


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_cross_encoder_stays_within_its_run(name: str):
    with pytest.raises(UsageError, match="not the name of a folder"):
        config(f"name='{name}'")


def test_one_fold_is_refused():
    with pytest.raises(UsageError, match=r"judgements\.folds: 1 leaves no queries"):
        config("judgements.folds=1")


@pytest.fixture
def judged(tmp_path: Path, tiny_logs: tuple[Path, Path], tiny_encoder: Path) -> list[str]:
    """Overrides for a run on the tiny shop where eight queries, each the name of a category, were judged."""
    events, items = tiny_logs
    table = pd.read_csv(items)
    rows = [
        (f"{group} {word}", sku, 2 if group == own else 0)
        for group in ("coffee", "tea", "bread", "pets")
        for word in ("shop", "deal")
        for sku, own in zip(table["sku"], table["group"], strict=True)
    ]
    pd.DataFrame(rows, columns=["query", "item_id", "grade"]).to_csv(tmp_path / "judged.csv", index=False)
    logs = [*tabular_overrides(events, items), f"source.judgements={tmp_path / 'judged.csv'}"]
    data = prepare(load_config(PrepareConfig, "prepare", [*logs, f"artifacts={tmp_path}", "name=judged"])).path
    trained = [f"data={data}", f"artifacts={tmp_path}", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES]
    run = tmp_path / "runs" / "judged"
    train_towers(
        load_config(
            TrainConfig, "train", [*trained, "blocks=none", "trainer.epochs=1", "judgements.rate=0", "run=judged"]
        ),
        run,
    )
    bert = tiny_encoder.parent / "bert"
    return [f"run={run}", f"data={data}", f"model.folder={bert}", *RANKER_OVERRIDES, "judgements.folds=2"]


def test_judged_queries_are_ranked_by_cross_encoders_that_did_not_learn_from_them(judged: list[str], tmp_path: Path):
    run = tmp_path / "runs" / "judged"
    lambdas = [*judged, "ranking_loss=lambda", "mining.item_queries=5"]
    taught = train_ranker(
        load_config(RankerConfig, "train_ranker", [*lambdas, "name=teacher", "judgements.keep_folds=true"])
    )
    assert taught.queries is not None
    assert taught.queries.cases == 8
    assert {path.name for path in (run / "teacher").glob("fold-*")} == {"fold-0", "fold-1"}
    distilled = [*judged, "ranking_loss=margin_mse", "mining.item_queries=5", f"teacher={run / 'teacher'}"]
    student = train_ranker(load_config(RankerConfig, "train_ranker", distilled))
    assert student.queries is not None
    assert student.queries.before == taught.queries.before
    shutil.rmtree(run / "teacher" / "fold-1")
    with pytest.raises(UsageError, match=r"train it with judgements\.keep_folds=true"):
        train_ranker(load_config(RankerConfig, "train_ranker", distilled))
