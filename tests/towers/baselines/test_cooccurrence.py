"""Directional co-occurrence against a loop over all pairs; its factors against the dense decomposition."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

from data_prep.columns import Split
from towers.baselines import cooccurrence
from towers.baselines.cooccurrence import PairWeights, directional_cooccurrence, factors
from towers.events.history import NO_QUERY, Sequences
from towers.events.interactions import Interactions

ITEMS = 6


def pairs(max_gap: int) -> PairWeights:
    return PairWeights(max_gap, gap_exponent=0.5, backward=0.5, source_exponent=0.5, target_exponent=0.3)


def interactions(*users: list[tuple[int, float]]) -> Interactions:
    """From (item, time) pairs of each user."""
    flat = [event for user in users for event in user]
    return Interactions(
        np.cumsum([0, *map(len, users)]),
        np.array([item for item, _ in flat], np.int64),
        np.array([time for _, time in flat], np.float64),
        ITEMS,
    )


def by_loop(users: list[list[tuple[int, float]]], max_gap: int) -> np.ndarray:
    found, counts = np.zeros((ITEMS, ITEMS)), np.zeros(ITEMS)
    for events in users:
        middle = [np.mean([i for i, e in enumerate(events) if e[1] == time]) for _, time in events]
        for item, _ in events:
            counts[item] += 1
        for i, j in itertools.combinations(range(len(events)), 2):
            (a, then), (b, later) = events[i], events[j]
            basket = sum(time == then for _, time in events)
            gap = (basket + 1) / 3 if then == later else middle[j] - middle[i]
            if gap <= max_gap:
                found[a, b] += gap**-0.5 * (0.75 if then == later else 1)
                found[b, a] += gap**-0.5 * (0.75 if then == later else 0.5)
    counts = np.maximum(counts, 1)
    return found / counts[:, None] ** 0.5 / counts**0.3


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(
        st.lists(st.tuples(st.integers(0, ITEMS - 1), st.integers(0, 4)), max_size=9), min_size=1, max_size=4
    ),
    max_gap=st.integers(1, 9),
    at_once=st.integers(1, 40),
)
def test_it_is_the_loop_over_all_pairs_baskets_included(users, max_gap, at_once):
    users = [sorted(((item, float(time)) for item, time in user), key=lambda e: e[1]) for user in users]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cooccurrence, "PAIRS_AT_ONCE", at_once)
        found = directional_cooccurrence(interactions(*users), pairs(max_gap)).toarray()
    np.testing.assert_allclose(found, by_loop(users, max_gap), rtol=1e-5)


def test_without_times_the_order_of_the_log_counts():
    found = directional_cooccurrence(interactions([(0, np.nan), (1, np.nan), (2, np.nan)]), pairs(9)).toarray()
    assert found[0, 1] == pytest.approx(1) and found[1, 0] == pytest.approx(0.5)
    assert found[0, 2] == pytest.approx(2**-0.5) and found[2, 0] == pytest.approx(2**-0.5 / 2)


def test_the_order_within_a_basket_does_not_matter():
    first = interactions([(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)])
    second = interactions([(2, 1.0), (0, 1.0), (1, 1.0), (3, 2.0)])
    a, b = (directional_cooccurrence(log, pairs(9)).toarray() for log in (first, second))
    np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("dense", [0, 1000])
def test_factors_are_the_best_approximation_and_the_same_each_time(monkeypatch, dense):
    monkeypatch.setattr(cooccurrence, "DENSE_ITEMS", dense)
    rng = np.random.default_rng(0)
    matrix = sp.csr_array(rng.random((30, 30)) * (rng.random((30, 30)) < 0.3))
    source, target = factors(matrix, 5, seed=1)
    u, s, v = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(source @ target.T, u[:, :5] * s[:5] @ v[:5], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(source, axis=0) ** 2, s[:5], rtol=1e-4)
    np.testing.assert_array_equal(source, factors(matrix, 5, seed=1)[0])
    assert factors(matrix, 99, seed=1)[0].shape == (30, 29)


def test_factors_of_nothing_are_nothing(monkeypatch):
    monkeypatch.setattr(cooccurrence, "DENSE_ITEMS", 0)
    source, target = factors(sp.csr_array((9, 9)), 4, seed=0)
    assert source.shape == target.shape == (9, 4) and not source.any()


def test_interactions_are_the_events_before_a_split():
    sequences = Sequences(
        user_ids=np.array(["a", "b"], object),
        offsets=np.array([0, 3, 5]),
        rows=np.array([0, 1, 1, 2, 0]),
        events=np.array(["view"] * 5, object),
        timestamps=np.array([1.0, 2, 2, 2, 3]),
        queries=np.full(5, NO_QUERY),
        query_texts=[],
        splits=np.array([0, 0, 2, 0, 1]),
    )
    early = Interactions.of(sequences, 3, Split.VALID)
    assert early.offsets.tolist() == [0, 2, 3] and early.rows.tolist() == [0, 1, 2]
    late = Interactions.of(sequences, 3, Split.TEST)
    assert late.offsets.tolist() == [0, 2, 4]
    assert late.matrix().toarray().tolist() == [[1, 1, 0], [1, 0, 1]]
    assert late.counts().tolist() == [2, 1, 1]
    assert late.baskets.tolist() == [0, 1, 2, 3]  # one instant of two users is two baskets
