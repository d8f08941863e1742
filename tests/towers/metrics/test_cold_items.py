"""Items that training never saw: chosen, held back, and looked for."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from towers.evaluate import EvaluateConfig, evaluate_run, print_users
from towers.events.history import Sequences
from towers.events.reading import held_back, read_sequences
from towers.metrics.bootstrap import Bootstrap, Estimate
from towers.metrics.cases import Cases
from towers.metrics.cold_items import cold_cases, summarize_cold
from towers.metrics.evaluation import Outcome
from towers.metrics.ranking_metrics import metric_names
from towers.model.trained_towers import TrainedTowers
from towers.train import train
from towers.training.config import TrainConfig


def a_log() -> Sequences:
    """Two users of a catalogue of four: 0 has 0 1 | | 2 3, 1 has 1 | | 0."""
    rows = np.array([0, 1, 2, 3, 1, 0])
    return Sequences(
        user_ids=np.array(["a", "b"], object),
        offsets=np.array([0, 4, 6]),
        rows=rows,
        events=np.array(["view"] * 6, object),
        timestamps=np.arange(6.0),
        queries=np.full(6, -1),
        query_texts=[],
        splits=np.array([0, 0, 2, 2, 0, 2]),
    )


def test_about_the_share_of_the_items_is_held_back_whatever_else_is_in_the_catalogue():
    ids = [f"item {i}" for i in range(4000)]
    chosen = held_back(ids, 0.2, seed=0)
    assert chosen.mean() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(held_back(ids[::-1][:100], 0.2, seed=0), chosen[::-1][:100])
    assert held_back(ids, 0.2, seed=1).tolist() != chosen.tolist()
    assert not held_back(ids, 0.0, seed=0).any()


def test_cold_cases_are_those_who_want_a_cold_item_and_want_only_that():
    cases = Cases.held_out(a_log(), list("wxyz"), Split.TEST, True, [10])
    assert [relevant.tolist() for relevant in cases.truth] == [[2, 3], [0]]
    cold = cold_cases(cases, np.array([1, 2, 0, 5]))
    assert cold.users.tolist() == [0]
    assert [relevant.tolist() for relevant in cold.truth] == [[2]]
    assert cold.history(0).rows.tolist() == [0, 1]
    assert len(cold_cases(cases, np.ones(4, np.int64))) == 0


def test_the_summary_keeps_recall_with_its_interval():
    cases = Cases.held_out(a_log(), list("wxyz"), Split.TEST, True, [10])
    metrics = np.zeros((2, 4))
    metrics[0, metric_names([10]).index("recall@10")] = 1
    found = summarize_cold(
        Outcome("x", metrics, np.ones(2, np.int64), np.zeros((2, 1), np.int64)), cases, Bootstrap(200, 0.95, 0)
    )
    assert found == {"recall@10": Estimate(0.5, 0.0, 1.0)}


def test_training_leaves_held_back_items_out_and_evaluation_looks_for_them(
    tiny_train_overrides, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run, dataset = tmp_path / "run", Dataset.open(tiny_data)
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, "cold_share=0.3", "protocol=leave_one_out"]), run)
    ids = [str(i) for i in dataset.items["item_id"]]
    cold = held_back(ids, 0.3, 0)
    towers = TrainedTowers.open(run)
    assert set(towers.embedded) == {i for i, is_cold in zip(ids, cold, strict=True) if not is_cold}
    assert (towers.item_vectors(dataset.items)[cold, -1] == 0).all()  # the average prior

    log = read_sequences(dataset, "leave_one_out", cold_share=0.3, seed=0)
    assert not cold[log.rows[log.splits == Split.TRAIN]].any()
    assert cold[log.rows[log.splits == Split.TEST]].any()

    config = load_config(EvaluateConfig, "evaluate", [f"run={run}", "evaluation.cutoffs=[3,10]", "threads=1"])
    everyone = evaluate_run(config)
    report = everyone.cold
    assert report is not None
    assert report.users == report.relevant == int(cold[log.rows[log.splits == Split.TEST]].sum())
    found = {name: figures["recall@10"].mean for name, figures in report.scorers.items()}
    assert found["popularity"] < 0.1  # thirty items, nine of them cold and last by popularity
    assert found["two towers"] > 0.2
    by_length = report.slices["two towers"]
    total = sum(part.users * part.metrics["recall@10"].mean for part in by_length.values())
    assert total / report.users == pytest.approx(found["two towers"])
    print_users(everyone, run)
    printed = capsys.readouterr().out
    assert f"cold items: {report.users} users with {report.users}" in printed
    assert f"users without history: {everyone.users}, theirs taken away" in printed and "history taken away" in printed
