"""By what lists are found: their centroids, or the means of their items."""

import faiss
import numpy as np
import pytest

from index.search.exact import exact_search
from index.search.factory import Plan, centroids_of, fill
from index.search.list_means import find_by_the_better, finds_by_means, lists_of_rows
from tests.index.indexes import make_index

CODES = "IVF32,PQ16x4fs"


def filled(vectors, factory=CODES):
    return make_index(Plan(factory, "test"), vectors, 64, 0, False)


def answers(vectors, queries, k=10):
    return [hits.rows for hits in exact_search(vectors, queries, k)]


def lengths(index):
    return np.linalg.norm(centroids_of(index), axis=1)


@pytest.fixture(scope="module")
def spread():
    """Unit vectors in tight and in wide clusters, and queries near the centres: what a user tower is like."""
    rng = np.random.default_rng(1)
    centres, spread = rng.standard_normal((64, 16)), rng.uniform(0.05, 1.0, (64, 1))
    of = rng.integers(64, size=20_000)
    vectors = (centres[of] + spread[of] * rng.standard_normal((20_000, 16))).astype(np.float32)
    faiss.normalize_L2(vectors)
    queries = (centres[rng.integers(64, size=300)] + rng.standard_normal((300, 16))).astype(np.float32)
    return vectors, queries


def taken(index, vectors, queries, k=200):
    return find_by_the_better(index, vectors, queries, answers(vectors, queries, k), share=0.95)


@pytest.mark.parametrize("factory", ["IVF32,Flat", CODES])
def test_means_are_those_of_what_lies_in_the_lists(spread, factory):
    vectors, queries = spread
    index = filled(vectors, factory)
    assert taken(index, vectors, queries)
    lists = lists_of_rows(index, len(vectors))
    for number in range(32):
        assert centroids_of(index)[number] == pytest.approx(vectors[lists == number].mean(axis=0), abs=1e-6)


def codes_met(index, centroids, vectors, queries, truth, share):
    """Codes in the fewest lists that hold the share of what is wanted, list by list."""
    lists = lists_of_rows(index, len(vectors))
    order = np.argsort(-(queries @ centroids.T), axis=1)
    for visited in range(1, index.nlist + 1):
        held = [np.isin(lists, order[place, :visited]) for place in range(len(queries))]
        if np.mean([inside[rows] for inside, rows in zip(held, truth, strict=True)]) >= share:
            return np.mean([inside.sum() for inside in held])
    raise AssertionError("all lists together hold everything")


@pytest.mark.parametrize(("count", "k"), [(20_000, 200), (5_000, 5)])
def test_what_meets_fewer_codes_is_taken(spread, count, k):
    vectors, queries = spread[0][:count], spread[1][:60]
    index, truth = filled(vectors, "IVF32,Flat"), answers(vectors, queries, k)
    lists, directions = lists_of_rows(index, count), centroids_of(index)
    means = np.stack([vectors[lists == number].mean(axis=0) for number in range(32)])
    by_means, by_directions = (codes_met(index, c, vectors, queries, truth, 0.95) for c in (means, directions))
    assert find_by_the_better(index, vectors, queries, truth, share=0.95) == (by_means < by_directions)
    assert np.allclose(centroids_of(index), means if by_means < by_directions else directions, atol=1e-6)


def test_one_item_far_above_the_average_of_its_list_speaks_against_means(spread):
    vectors = spread[0]
    lonely = np.concatenate([vectors, -50 * vectors[:1]])
    index = filled(lonely, "IVF32,Flat")
    assert not find_by_the_better(index, lonely, -vectors[:1], answers(lonely, -vectors[:1], 1), share=0.95)
    assert lengths(index) == pytest.approx(1, abs=1e-5)


def test_an_empty_list_keeps_its_centroid(spread):
    vectors, _ = spread
    index = filled(vectors)
    index.reset()
    near = vectors[vectors @ vectors[0] > 0.9]
    fill(index, near)
    empty = np.bincount(lists_of_rows(index, len(near)), minlength=32) == 0
    before = centroids_of(index)
    find_by_the_better(index, near, near[:50], answers(near, near[:50]), share=0.95)
    assert empty.any() and np.array_equal(centroids_of(index)[empty], before[empty])


def test_an_emptied_index_is_filled_by_direction_again(spread):
    vectors, queries = spread
    index = filled(vectors)
    before = lists_of_rows(index, len(vectors))
    assert taken(index, vectors, queries) and lengths(index).max() < 1
    index.reset()
    fill(index, vectors)
    assert lengths(index) == pytest.approx(1, abs=1e-5)
    assert (lists_of_rows(index, len(vectors)) == before).mean() > 0.9, "a mean points a little beside its centroid"


@pytest.mark.parametrize(
    "factory", ["Flat", "IVF16,PQ8x4fsr", "IVF16,PQ8np", "IVF16,SQ8", "HNSW8,SQ8", "PCA8,IVF16,Flat"]
)
def test_codes_of_residuals_and_other_kinds_are_left_alone(spread, factory):
    vectors, queries = spread[0][:10_000], spread[1]
    index = filled(vectors, factory)
    assert not finds_by_means(index)
    assert not taken(index, vectors, queries)
