"""What an item index promises, whatever FAISS does."""

import threading

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.exact import best, exact_scores, exact_search
from index.factory import Exact, IvfPq, Plan, make_index
from index.search import ItemIndex, SearchParameters

FULL = SearchParameters(nprobe=16, rescore=8.0, k=10)


def make(vectors, plan, parameters):
    return ItemIndex(vectors, make_index(plan, vectors, points_per_list=64, seed=0, require_gpu=False), parameters)


@pytest.fixture(scope="module")
def catalogue(clustered):
    return clustered(4000, 32, 0)


@pytest.fixture(scope="module")
def ivf(catalogue):
    return make(catalogue, Plan("IVF32,PQ32x4fs", "test"), SearchParameters(nprobe=16, rescore=4.0, k=10))


@pytest.fixture(scope="module")
def thrifty(catalogue):
    """Visits one list and re-scores no more than it returns: every fallback is needed."""
    return make(catalogue, Plan("IVF32,PQ32x4fs", "test"), SearchParameters(nprobe=1, rescore=1.0, k=10))


@pytest.fixture(scope="module")
def flat(catalogue):
    return make(catalogue, Plan("Flat", "test"), SearchParameters(nprobe=1, rescore=1.0, k=10))


def test_inverted_lists_find_nearly_all_that_exact_search_finds(ivf, catalogue, users):
    queries = users(catalogue, 100, 1)
    truth = exact_search(catalogue, queries, 10)
    found = ivf.search(queries, 10)
    shared = [len(np.intersect1d(a.rows, b.rows)) for a, b in zip(found, truth, strict=True)]
    assert np.mean(shared) / 10 >= 0.95


@pytest.mark.parametrize("k", [1, 3, 50, 300])
def test_recall_holds_for_other_k_than_the_calibrated_one(ivf, catalogue, users, k):
    queries = users(catalogue, 50, 2)
    truth = exact_search(catalogue, queries, k)
    found = ivf.search(queries, k)
    shared = [len(np.intersect1d(a.rows, b.rows)) / k for a, b in zip(found, truth, strict=True)]
    assert np.mean(shared) >= 0.95


@pytest.mark.parametrize("name", ["flat", "ivf", "thrifty"])
@given(seed=st.integers(0, 10_000), k=st.integers(1, 200), excluded=st.integers(0, 3999))
@settings(max_examples=25, deadline=None)
def test_answers_are_whole_sorted_exact_and_free_of_excluded_rows(request, name, catalogue, seed, k, excluded):
    index = request.getfixturevalue(name)
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(2, 32)).astype(np.float32)
    exclude = [rng.choice(4000, excluded, replace=False), np.empty(0, np.int64)]
    for query, barred, hits in zip(queries, exclude, index.search(queries, k, exclude), strict=True):
        assert len(hits.rows) == len(hits.scores) == min(k, 4000 - len(barred))
        assert len(np.unique(hits.rows)) == len(hits.rows)
        assert hits.rows.min() >= 0 and not np.isin(hits.rows, barred).any()
        assert (np.diff(hits.scores) <= 0).all()
        np.testing.assert_allclose(hits.scores, catalogue[hits.rows] @ query, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 400), excluded=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_a_flat_index_answers_exactly(flat, catalogue, seed, k, excluded):
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(3, 32)).astype(np.float32)
    exclude = [rng.integers(4000, size=excluded) for _ in queries]
    truth = exact_search(catalogue, queries, k, exclude)
    for hits, exact in zip(flat.search(queries, k, exclude), truth, strict=True):
        assert hits.rows.tolist() == exact.rows.tolist()
        assert hits.scores.tolist() == exact.scores.tolist()


def test_k_beyond_the_catalogue_returns_the_catalogue(ivf):
    query = np.ones((1, 32), np.float32)
    assert sorted(ivf.search(query, 2**31 - 1)[0].rows.tolist()) == list(range(4000))


def test_excluding_everything_leaves_nothing(ivf):
    hits = ivf.search(np.ones((1, 32), np.float32), 5, [np.arange(4000)])[0]
    assert len(hits.rows) == len(hits.scores) == 0


def test_an_empty_batch_gets_an_empty_answer(ivf):
    assert ivf.search(np.empty((0, 32), np.float32), 5) == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_tiny_catalogue_is_served(count):
    vectors = np.eye(count, 8, dtype=np.float32)
    plan = IvfPq(lists_per_root=4.0, dims_per_code=1, bits=4).plan(count, 8)
    index = make(vectors, plan, SearchParameters(nprobe=1, rescore=1.0, k=count))
    hits = index.search(vectors[-1:], 100)[0]
    assert hits.rows.tolist() == [count - 1, *range(count - 1)]
    assert hits.scores.tolist() == [1.0] + [0.0] * (count - 1)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,PQ16x4fs"])
def test_identical_items_come_in_the_order_of_their_rows(factory):
    vectors = np.tile(np.linspace(0.1, 1, 16, dtype=np.float32), (2000, 1))
    index = make(vectors, Plan(factory, "test"), FULL)
    queries = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    first, again = index.search(queries, 10), index.search(queries, 10)
    for hits, repeated, query in zip(first, again, queries, strict=True):
        alone = index.search(query[None], 10)[0]
        assert hits.rows.tolist() == repeated.rows.tolist() == alone.rows.tolist() == sorted(hits.rows.tolist())
        assert len(set(hits.scores.tolist())) == 1
    if factory == "Flat":
        assert all(hits.rows.tolist() == list(range(10)) for hits in first)


@pytest.mark.parametrize("name", ["flat", "ivf"])
def test_a_query_is_answered_the_same_alone_and_in_a_batch(request, name, users, catalogue):
    index = request.getfixturevalue(name)
    queries = users(catalogue, 64, 3)
    for together, query in zip(index.search(queries, 20), queries, strict=True):
        alone = index.search(query[None], 20)[0]
        assert alone.rows.tolist() == together.rows.tolist()
        assert alone.scores.tolist() == together.scores.tolist()


def test_threads_get_the_answers_of_one(ivf, users, catalogue):
    queries = users(catalogue, 40, 4)
    expected = [hits.rows.tolist() for hits in ivf.search(queries, 10)]
    answers = {}

    def ask(name):
        faiss.omp_set_num_threads(1)
        answers[name] = [hits.rows.tolist() for hits in ivf.search(queries, 10)]

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers[name] == expected for name in range(4))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["flat", "ivf"])
def test_a_query_that_is_not_finite_is_refused_and_named(request, name, value):
    queries = np.ones((3, 32), np.float32)
    queries[1, 5] = value
    with pytest.raises(ValueError, match=r"queries \[1\] hold NaN or infinity"):
        request.getfixturevalue(name).search(queries, 5)


def test_a_wrong_dimension_is_refused_with_both():
    index = make(np.eye(3, 128, dtype=np.float32), Exact().plan(3, 128), FULL)
    with pytest.raises(ValueError, match="expected 128, got 127"):
        index.search(np.ones((1, 127), np.float32), 5)
    with pytest.raises(ValueError, match=r"expected 128, got an array of shape \(128,\)"):
        index.search(np.ones(128, np.float32), 5)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(ivf, k):
    with pytest.raises(ValueError, match=f"k must be at least 1, not {k}"):
        ivf.search(np.ones((1, 32), np.float32), k)


@pytest.mark.parametrize("rows", [[-1], [4000]])
def test_excluding_a_row_that_does_not_exist_is_refused(ivf, rows):
    with pytest.raises(ValueError, match="there are rows 0…3999"):
        ivf.search(np.ones((1, 32), np.float32), 5, [np.array(rows)])


def test_one_exclusion_list_for_each_query(ivf):
    with pytest.raises(ValueError, match="exclude has 1 entries for 2 queries"):
        ivf.search(np.ones((2, 32), np.float32), 5, [np.empty(0, np.int64)])


def test_an_index_of_another_size_is_refused():
    vectors = np.eye(4, dtype=np.float32)
    index = make_index(Plan("Flat", "test"), vectors, 64, 0, False)
    with pytest.raises(ValueError, match="holds 4 vectors of dimension 4, but there are 3"):
        ItemIndex(vectors[:3], index, FULL)


def test_an_index_of_another_metric_is_refused():
    vectors = np.eye(4, dtype=np.float32)
    index = faiss.IndexFlatL2(4)
    index.add(vectors)
    with pytest.raises(ValueError, match="not the inner product"):
        ItemIndex(vectors, index, FULL)


def test_the_metric_is_the_inner_product_not_the_cosine():
    vectors = np.array([[1, 0], [10, 1]], np.float32)
    index = make(vectors, Plan("Flat", "test"), FULL)
    assert index.search(np.array([[1, 0]], np.float32), 2)[0].rows.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["flat", "ivf", "thrifty"])
@given(seed=st.integers(0, 10_000), interests=st.integers(1, 4), k=st.integers(1, 60), excluded=st.integers(0, 900))
@settings(max_examples=15, deadline=None)
def test_an_item_scores_by_the_best_of_several_vectors(request, name, catalogue, seed, interests, k, excluded):
    index = request.getfixturevalue(name)
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(2, interests, 32)).astype(np.float32)
    exclude = [rng.choice(4000, excluded, replace=False), np.empty(0, np.int64)]
    for query, barred, hits in zip(queries, exclude, index.search(queries, k, exclude), strict=True):
        scores = exact_scores(catalogue, query)
        assert scores[:9].tolist() == [
            max(exact_scores(catalogue[row : row + 1], q)[0] for q in query) for row in range(9)
        ]
        assert len(hits.rows) == k and not np.isin(hits.rows, barred).any()
        assert hits.scores.tolist() == scores[hits.rows].tolist()
        if name == "flat":
            scores[barred] = -np.inf
            assert hits.rows.tolist() == best(np.arange(4000), scores, k).rows.tolist()


def test_vectors_that_find_the_same_items_do_not_repeat_them(flat, catalogue):
    twice = np.repeat(catalogue[:3, None], 2, axis=1)  # [3, 2, D]
    for hits, alone in zip(flat.search(twice, 10), flat.search(catalogue[:3], 10), strict=True):
        assert hits.rows.tolist() == alone.rows.tolist()
        assert hits.scores.tolist() == alone.scores.tolist()
    with pytest.raises(ValueError, match="exclude has 6 entries for 3 queries"):
        flat.search(twice, 10, [np.empty(0, np.int64)] * 6)
