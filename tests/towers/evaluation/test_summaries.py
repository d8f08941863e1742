"""Summaries of outcomes: differences that pair users, and slices of them."""

import numpy as np
import pytest

from data_prep.columns import Split
from towers.evaluation.summaries import Catalogue, beyond_accuracy, compare, popularity_deciles, slices
from towers.events.history import Sequences
from towers.metrics.bootstrap import Bootstrap, Estimate
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome
from towers.metrics.ranking_metrics import metric_names

CUTOFFS = [10]
SHARPNESS = 400  # bootstrap samples


def outcome(ndcg: np.ndarray) -> np.ndarray:
    """Metrics [U, 4] of users whose recall, NDCG, MRR and hit rate are alike."""
    return np.repeat(ndcg[:, None], 4, axis=1)


def test_scorers_are_compared_with_the_baseline_of_the_highest_ndcg():
    ours, weak, strong = (outcome(np.full(6, value)) for value in (0.5, 0.1, 0.2))
    found = compare(
        {"ours": ours, "weak": weak, "strong": strong},
        ["weak", "strong"],
        metric_names(CUTOFFS),
        Bootstrap(10, 0.95, 0),
    )
    assert found.baseline == "strong"
    means = {name: metrics["ndcg@10"].mean for name, metrics in found.scorers.items()}
    assert means == {"ours": pytest.approx(0.3), "weak": pytest.approx(-0.1)}


def test_a_small_gain_at_every_user_is_seen_however_much_users_differ():
    users = np.linspace(0, 1, 50)  # easy and hard ones
    both = {"ours": outcome(users + 0.01), "theirs": outcome(users)}
    found = compare(both, ["theirs"], metric_names(CUTOFFS), Bootstrap(SHARPNESS, 0.95, 0)).scorers["ours"]["ndcg@10"]
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)


def test_a_gain_that_users_do_not_share_has_an_interval_around_zero():
    users, luck = np.full(50, 0.5), np.where(np.arange(50) % 2, 0.3, -0.29)
    both = {"ours": outcome(users + luck), "theirs": outcome(users)}
    found = compare(both, ["theirs"], metric_names(CUTOFFS), Bootstrap(SHARPNESS, 0.95, 0)).scorers["ours"]["ndcg@10"]
    assert found.mean == pytest.approx(0.005)
    assert found.low < 0 < found.high


def test_without_a_baseline_there_is_nothing_to_compare_with():
    assert compare({"ours": outcome(np.ones(3))}, [], metric_names(CUTOFFS), Bootstrap(10, 0.95, 0)) is None


def test_users_are_sliced_by_the_length_of_their_histories_and_relevant_items_by_their_popularity():
    known = [0, 1, 2, 3, 5]  # events of each user's history
    rows = np.concatenate([[*range(length), 8, 9] for length in known])
    splits = np.concatenate([[*[Split.TRAIN] * length, Split.TEST, Split.TEST] for length in known])
    log = Sequences(
        user_ids=np.array(list("abcde"), object),
        offsets=np.concatenate([[0], np.cumsum([length + 2 for length in known])]),
        rows=rows,
        events=np.array(["view"] * len(rows), object),
        timestamps=np.arange(float(len(rows))),
        queries=np.full(len(rows), -1),
        query_texts=[],
        splits=splits,
    )
    cases = Cases.held_out(log, list("abcdefghij"), Split.TEST, True, CUTOFFS)
    found_8, found_9 = np.array([1, 11, 1, 11, 1]), np.array([11, 11, 11, 1, 2])  # ranks of items 8 and 9
    metrics = outcome(np.array([0.1, 0.2, 0.3, 0.4, 0.6]))
    ranks = np.stack([found_8, found_9], axis=1).ravel()
    counts = np.array([9, 9, 9, 9, 9, 9, 9, 9, 50, 0])
    taken_away = outcome(np.array([0.0, 0.0, 0.0, 0.1, 0.4]))
    whole = Outcome("x", metrics, ranks, np.zeros((5, 1), np.int64))
    parts = slices(whole, cases, counts, Bootstrap(50, 0.95, 0), taken_away)
    assert [name for name in metric_names(CUTOFFS) if name in parts["history 0"].metrics] == ["recall@10", "ndcg@10"]
    assert {name: part.users for name, part in parts.items()} == {
        "history taken away": 5,
        "history 0": 1,
        "history 1": 1,
        "history 2": 1,
        "history 3+": 2,
        "popularity decile 1": 5,
        "popularity decile 10": 5,
    }
    assert parts["history taken away"].metrics["ndcg@10"].mean == pytest.approx(0.1)
    assert parts["history 3+"].metrics["ndcg@10"] == Estimate(pytest.approx(0.5), 0.4, 0.6)
    assert parts["history 0"].metrics["ndcg@10"] == Estimate(0.1, 0.1, 0.1)
    assert parts["popularity decile 1"].metrics["recall@10"].mean == pytest.approx(3 / 5)
    assert parts["popularity decile 10"].metrics["ndcg@10"].mean == pytest.approx((1 + 1 / np.log2(3)) / 5)


def test_deciles_hold_a_tenth_of_the_items_each_and_ties_stay_together():
    assert popularity_deciles(np.arange(20)[::-1]).tolist() == [position // 2 + 1 for position in range(20)]
    assert popularity_deciles(np.array([7, 3, 3, 3, 0, 0, 0, 0, 0, 0])).tolist() == [1, 2, 2, 2, 5, 5, 5, 5, 5, 5]


def test_coverage_novelty_and_popularity_of_lists_worked_out_by_hand():
    counts = np.array([8, 4, 2, 1, 1, 0, 0, 0, 0, 0])
    texts = np.eye(10, 2, dtype=np.float32)  # 0 and 1 at a right angle, nothing of the others
    texts[5] = [0.6, 0.8]
    beyond = beyond_accuracy(np.array([[0, 1, -1], [0, 5, -1]]), Catalogue(counts, texts))
    assert beyond.intra_list_distance == pytest.approx((1 + 0.4) / 2)
    assert beyond.coverage == 0.3
    assert beyond.popularity_share == 0.5  # the most popular tenth is item 0
    assert beyond.novelty == pytest.approx((1 + 2 + 1 + 4) / 4)  # shares 1/2, 1/4, 1/2 and at least 1/16
