"""Baselines against twins that are slow and obviously right."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from towers.baselines import ItemKNN, Popularity, TextSimilarity
from towers.history import History
from towers.report import beyond_accuracy

ITEMS = 8


def history(*rows: int) -> History:
    return History(np.array(rows, np.int64), ["view"] * len(rows), np.full(len(rows), np.nan))


def test_popularity_is_the_count_whoever_asks():
    found = Popularity(torch.tensor([3, 0, 5])).score([history(), history(2)])
    assert found.tolist() == [[3, 0, 5], [3, 0, 5]]


@settings(max_examples=40, deadline=None)
@given(
    baskets=st.lists(st.sets(st.integers(0, ITEMS - 1), max_size=5), min_size=1, max_size=8),
    rows=st.lists(st.integers(0, ITEMS - 1), max_size=6),
    neighbours=st.integers(1, ITEMS),
    include_self=st.booleans(),
)
def test_item_knn_is_the_cosine_with_recent_items(baskets, rows, neighbours, include_self):
    matrix = np.zeros((len(baskets), ITEMS), np.float32)
    for user, items in enumerate(baskets):
        matrix[user, list(items)] = 2  # twice counts as once
    similarity = np.zeros((ITEMS, ITEMS))
    for a in range(ITEMS):
        for b in range(ITEMS):
            together = sum(a in s and b in s for s in baskets)
            if a != b and together:
                similarity[a, b] = together / np.sqrt(sum(a in s for s in baskets) * sum(b in s for s in baskets))
    for a in range(ITEMS):
        least = np.sort(similarity[a])[::-1][min(neighbours, ITEMS) - 1]
        similarity[a, similarity[a] < least - 1e-9] = 0
    if include_self:
        similarity += np.eye(ITEMS)
    expected = sum((0.5**age * similarity[row] for age, row in enumerate(reversed(rows))), np.zeros(ITEMS))

    found = ItemKNN(sp.csr_array(matrix), neighbours, 0.5, include_self).score([history(*rows), history()])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert not found[1].any()


def test_text_similarity_prefers_what_reads_like_the_newest_item():
    rng = np.random.default_rng(0)
    tea, dogs = rng.normal(size=16), rng.normal(size=16)
    vectors = np.stack([*(tea + 0.2 * rng.normal(size=(30, 16))), *(dogs + 0.2 * rng.normal(size=(30, 16)))])
    found = TextSimilarity(vectors.astype(np.float32), 0.5).score([history(40, 2)])[0]
    assert found[:30].mean() > found[30:].mean()
    assert found.argmax() == 2


def test_coverage_novelty_and_popularity_of_lists_worked_out_by_hand():
    counts = np.array([8, 4, 2, 1, 1, 0, 0, 0, 0, 0])
    found = beyond_accuracy(np.array([[0, 1, -1], [0, 5, -1]]), counts)
    assert found["coverage"] == 0.3
    assert found["popularity_share"] == 0.5  # the most popular tenth is item 0
    assert found["novelty"] == pytest.approx((1 + 2 + 1 + 4) / 4)  # shares 1/2, 1/4, 1/2 and at least 1/16
