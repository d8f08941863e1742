"""What is told of outcomes: comparisons that pair users."""

import numpy as np
import pytest

from towers.report import compare

CUTOFFS = [10]
SHARPNESS = 400  # bootstrap samples


def outcome(ndcg: np.ndarray) -> np.ndarray:
    """Metrics [U, 4] of users whose recall, NDCG, MRR and hit rate are alike."""
    return np.repeat(ndcg[:, None], 4, axis=1)


def test_scorers_are_compared_with_the_baseline_of_the_highest_ndcg():
    ours, weak, strong = (outcome(np.full(6, value)) for value in (0.5, 0.1, 0.2))
    found = compare({"ours": ours, "weak": weak, "strong": strong}, ["weak", "strong"], CUTOFFS, 10, 0.95, 0)
    assert found["baseline"] == "strong"
    means = {name: metrics["ndcg@10"]["mean"] for name, metrics in found["scorers"].items()}
    assert means == {"ours": pytest.approx(0.3), "weak": pytest.approx(-0.1)}


def test_a_small_gain_at_every_user_is_seen_however_much_users_differ():
    users = np.linspace(0, 1, 50)  # easy and hard ones
    both = {"ours": outcome(users + 0.01), "theirs": outcome(users)}
    found = compare(both, ["theirs"], CUTOFFS, SHARPNESS, 0.95, 0)["scorers"]["ours"]["ndcg@10"]
    assert found["low"] == pytest.approx(0.01)
    assert found["high"] == pytest.approx(0.01)


def test_a_gain_that_users_do_not_share_has_an_interval_around_zero():
    users, luck = np.full(50, 0.5), np.where(np.arange(50) % 2, 0.3, -0.29)
    both = {"ours": outcome(users + luck), "theirs": outcome(users)}
    found = compare(both, ["theirs"], CUTOFFS, SHARPNESS, 0.95, 0)["scorers"]["ours"]["ndcg@10"]
    assert found["mean"] == pytest.approx(0.005)
    assert found["low"] < 0 < found["high"]


def test_without_a_baseline_there_is_nothing_to_compare_with():
    assert compare({"ours": outcome(np.ones(3))}, [], CUTOFFS, 10, 0.95, 0) == {}
