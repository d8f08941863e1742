"""Vectors in fewer bytes, and the ranking that is made of their scores."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from index.search.exact import best, exact_scores
from index.search.stored_vectors import StoredVectors, as_float32, bytes_of

HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)


def test_every_finite_float16_becomes_the_same_float32():
    finite = HALVES[np.isfinite(HALVES)]
    assert np.array_equal(as_float32(finite), finite.astype(np.float32))


def test_int8_is_worth_a_127th_of_the_largest_by_dimension():
    stored = StoredVectors.keep(np.array([[1.0, 0.0], [-0.5, 0.0], [0.004, 0.0]], np.float32), "int8")
    assert stored.numbers.tolist() == [[127, 0], [-64, 0], [1, 0]]
    assert stored.scale.tolist() == [np.float32(1 / 127), 1.0]
    assert (bytes_of("int8", 2), bytes_of("float16", 2), bytes_of("float32", 2)) == (2, 4, 8)


@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_a_batch_is_scored_as_each_of_its_rows(clustered, form):
    stored = StoredVectors.keep(clustered(300, 24, 0), form)
    queries = stored.weighed(clustered(5, 24, 1))
    rows = np.random.default_rng(0).integers(300, size=(5, 40))
    for found, query, some in zip(stored.scores(queries, rows), queries, rows, strict=True):
        assert found.tolist() == exact_scores(stored.numbers[some], query).tolist()


def test_what_float16_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="up to 65504, not 70000; take float32"):
        StoredVectors.keep(np.full((1, 2), 7e4, np.float32), "float16")


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        StoredVectors.keep(np.ones((1, 2), np.float32), "int4")


@given(
    scores=st.lists(st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0]), max_size=40),
    k=st.integers(1, 50),
)
@settings(max_examples=200, deadline=None)
def test_the_best_come_by_descending_score_then_by_row(scores, k):
    rows = np.random.default_rng(len(scores)).permutation(100)[: len(scores)].astype(np.int64)
    hits = best(rows, np.array(scores, np.float32), k)
    expected = sorted(zip(rows.tolist(), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:k]
    assert hits.rows.tolist() == [row for row, _ in expected]
    assert hits.scores.tolist() == [score for _, score in expected]
