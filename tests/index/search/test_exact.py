"""Exact search against the plainest possible twin."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from index.search import exact
from index.search.exact import best, exact_scores, exact_search


def sorted_by_hand(vectors, query, k, excluded):
    scored = [(float(exact_scores(vectors[[row]], query)[0]), row) for row in range(len(vectors))]
    allowed = [(score, row) for score, row in scored if row not in set(excluded)]
    return sorted(allowed, key=lambda pair: (-pair[0], pair[1]))[:k]


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 60),
    dim=st.integers(1, 9),
    k=st.integers(1, 70),
    grid=st.booleans(),
    block=st.sampled_from([1, 7, 16, 1000]),
)
@settings(max_examples=60, deadline=None)
def test_it_finds_what_sorting_every_score_finds(seed, count, dim, k, grid, block):
    rng = np.random.default_rng(seed)
    draw = (lambda size: rng.integers(-1, 2, size)) if grid else (lambda size: rng.normal(size=size))
    vectors, queries = draw((count, dim)).astype(np.float32), draw((3, dim)).astype(np.float32)
    exclude = [np.unique(rng.integers(count, size=rng.integers(0, count + 1))) for _ in queries]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "ROWS_AT_ONCE", block)
        found = exact_search(vectors, queries, k, exclude)

    for query, hits, excluded in zip(queries, found, exclude, strict=True):
        pairs = list(zip(hits.scores.tolist(), hits.rows.tolist(), strict=True))
        assert pairs == sorted_by_hand(vectors, query, k, excluded.tolist())


def test_identical_items_tie_to_the_last_bit_wherever_they_stand():
    rng = np.random.default_rng(0)
    vectors = np.tile(rng.normal(size=127).astype(np.float32), (1000, 1))
    hits = exact_search(vectors, rng.normal(size=(1, 127)).astype(np.float32), 5)[0]
    assert hits.rows.tolist() == [0, 1, 2, 3, 4]
    assert len(set(hits.scores.tolist())) == 1


def test_a_query_is_answered_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 33)).astype(np.float32)
    queries = rng.normal(size=(300, 33)).astype(np.float32)
    for together, query in zip(exact_search(vectors, queries, 7), queries, strict=True):
        alone = exact_search(vectors, query[None], 7)[0]
        assert alone.rows.tolist() == together.rows.tolist()
        assert alone.scores.tolist() == together.scores.tolist()


def test_best_orders_by_score_then_by_row():
    hits = best(np.array([9, 4, 7, 1]), np.array([1.0, 2.0, 2.0, 0.5], np.float32), 3)
    assert hits.rows.tolist() == [4, 7, 9]
    assert hits.scores.tolist() == [2.0, 2.0, 1.0]
