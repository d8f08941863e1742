"""Whether a reranker is better than recall: by hand on shortlists, by the command on the tiny shop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.towers.ranking.test_reranker import shortlist

from data_prep.command import load_config
from data_prep.errors import GateFailed, UsageError
from data_prep.prepare import PrepareConfig, prepare
from tests.tiny import RANKER_OVERRIDES, TRAIN_OVERRIDES, tabular_overrides
from towers import CrossEncoder
from towers.ranking.comparison import choose_strength, compare_orders, ndcg_of, shortlist_ndcg
from towers.ranking.config import RankerConfig
from towers.ranking.training_set import RankingTrainingSet
from towers.train import train as train_towers
from towers.train_ranker import RankerResult, train_ranker
from towers.training.config import TrainConfig


def test_ndcg_of_a_shortlist_counts_what_was_missed():
    one = shortlist([0, 1, 0], missed=[1])
    found = shortlist_ndcg(one, np.array([0.1, 0.9, 0.5], np.float32))
    assert found == pytest.approx(1 / (1 + 1 / np.log2(3)))
    graded = shortlist([2, 0, 1])
    assert shortlist_ndcg(graded, np.array([0, 2, 1])) == pytest.approx((1 / np.log2(3) + 3 / 2) / (3 + 1 / np.log2(3)))
    assert shortlist_ndcg(shortlist([0, 0]), np.zeros(2)) == 0


def test_equal_scores_keep_the_recall_order():
    assert shortlist_ndcg(shortlist([1, 0, 0]), np.zeros(3)) == 1


def test_the_strength_is_the_smallest_that_orders_best():
    lists = [shortlist([0, 1, 0]), shortlist([1, 0, 0])]  # recall: 1, .5, 0
    read = [np.array([0, 1, 0], np.float32), np.array([0, 0.2, 0], np.float32)]
    assert choose_strength(lists, read, 1.0, [2, 1, 0.7, 0.1, 0]) == 0.7
    assert choose_strength(lists, [-part for part in read], 1.0, [0, 0.5, 1]) == 0
    np.testing.assert_allclose(ndcg_of(lists, read, 1.0), [1, 1])
    np.testing.assert_allclose(ndcg_of(lists, read, 0.0), [1, 1 / np.log2(3)])


def test_the_difference_is_taken_case_by_case():
    lists = [shortlist([1, 0], missed=[1]), shortlist([0, 1]), shortlist([1, 0])]
    recalled = [shortlist_ndcg(one, one.scores) for one in lists]
    found = compare_orders(lists, np.array(recalled) + 0.1, samples=200, confidence=0.95, seed=0)
    assert found.cases == 3
    assert found.recall_ndcg == pytest.approx(np.mean(recalled))
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.better and not found.worse
    assert found.missed == pytest.approx(1 / 4)
    same = compare_orders(lists, np.array(recalled), samples=200, confidence=0.95, seed=0)
    assert not same.better and not same.worse


def config(*overrides: str) -> RankerConfig:
    return load_config(RankerConfig, "train_ranker", ["run=x", *overrides])


def test_users_who_judge_are_neither_learnt_from_nor_watched():
    users = [shortlist([1, 0], context=str(number)) for number in range(20)]
    found = RankingTrainingSet.of(users, [], [], [], config("mining.held_out=0.4"))
    parts = [{one.context for one in lists} for lists in (found.learning, found.watched, found.compared)]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert set.union(*parts) == {str(number) for number in range(20)}


def test_a_folds_queries_are_kept_from_the_reranker_that_is_judged_by_them():
    queries = [shortlist([1, 0], context=str(number)) for number in range(10)]
    folds = [np.arange(0, 5), np.arange(5, 10)]
    found = RankingTrainingSet.of([], [], queries, folds, config())
    for fold, places in enumerate(folds):
        part = found.part(fold, held_out=0.2, seed=0)
        used = [one.context for one in (*part.judged, *part.watched)]
        assert len(part.watched) == 1
        assert sorted(used) == sorted(str(number) for number in range(10) if number not in places)
    whole = found.part(None, held_out=0.2, seed=0)
    assert len(whole.judged) + len(whole.watched) == 10


def test_where_there_are_no_users_queries_derived_from_items_choose_the_epoch():
    items = [shortlist([1, 0], context=str(number)) for number in range(20)]
    found = RankingTrainingSet.of([], items, [], [], config("mining.held_out=0.4"))
    assert (len(found.learning), len(found.watched), len(found.compared)) == (12, 4, 0)
    beside_users = RankingTrainingSet.of([shortlist([1, 0])] * 4, items, [], [], config("mining.held_out=0.5"))
    assert (len(beside_users.learning), len(beside_users.watched), len(beside_users.compared)) == (22, 1, 1)


def test_too_few_users_to_keep_some_aside_are_refused():
    with pytest.raises(GateFailed, match="1 users are too few"):
        RankingTrainingSet.of([shortlist([1, 0])], [], [], [], config())


Train = Callable[..., RankerResult]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run without a reranker."""
    return shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("cross_encoder", "checkpoints"))


@pytest.fixture
def train(run: Path, tiny_data: Path, tiny_encoder: Path) -> Train:
    """`train("name=teacher")` trains a reranker for the copy."""

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
    with pytest.raises(UsageError, match="Softmax does not learn from a teacher"):
        train(f"teacher={run}")
    with pytest.raises(UsageError, match="no trained reranker in"):
        train("ranking_loss=margin_mse", f"teacher={run / 'nobody'}")


def test_a_teacher_of_other_material_is_refused(train: Train, run: Path):
    train("name=teacher")
    with pytest.raises(UsageError, match="trained with seed=0, the student with 1"):
        train("ranking_loss=margin_mse", f"teacher={run / 'teacher'}", "seed=1")
    marks = json.loads((run / "teacher" / "run.json").read_text())
    (run / "teacher" / "run.json").write_text(json.dumps(marks | {"towers_fingerprint": "0123"}))
    with pytest.raises(UsageError, match="trained for towers 0123"):
        train("ranking_loss=margin_mse", f"teacher={run / 'teacher'}")


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_reranker_stays_within_its_run(name: str):
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


def test_judged_queries_are_reranked_by_what_did_not_learn_from_them(judged: list[str], tmp_path: Path):
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
    assert student.queries.recall_ndcg == taught.queries.recall_ndcg
    shutil.rmtree(run / "teacher" / "fold-1")
    with pytest.raises(UsageError, match=r"train it with judged\.keep_folds=true"):
        train_ranker(load_config(RankerConfig, "train_ranker", distilled))
