"""What an item index promises, whatever FAISS does."""

import threading
from unittest import mock

import faiss
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from index.calibration.measures import index_recall
from index.search.effort import SearchParameters
from index.search.exact import best, exact_scores, exact_search
from index.search.factory import Plan, plan_index
from index.search.item_index import ItemIndex
from index.search.stored_vectors import StoredVectors
from tests.index.indexes import make_index

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
    for query, excluded, hits in zip(queries, exclude, index.search(queries, k, exclude), strict=True):
        assert len(hits.rows) == len(hits.scores) == min(k, 4000 - len(excluded))
        assert len(np.unique(hits.rows)) == len(hits.rows)
        assert hits.rows.min() >= 0 and not np.isin(hits.rows, excluded).any()
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
    plan = plan_index("IVF{lists},PQ{dim}x4fs", count, 8, lists_per_root=4.0, vectors="float32")
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
    index = make(np.eye(3, 128, dtype=np.float32), Plan("Flat", "test"), FULL)
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
    for query, excluded, hits in zip(queries, exclude, index.search(queries, k, exclude), strict=True):
        scores = exact_scores(catalogue, query)
        assert scores[:9].tolist() == [
            max(exact_scores(catalogue[row : row + 1], q)[0] for q in query) for row in range(9)
        ]
        assert len(hits.rows) == k and not np.isin(hits.rows, excluded).any()
        assert hits.scores.tolist() == scores[hits.rows].tolist()
        if name == "flat":
            scores[excluded] = -np.inf
            assert hits.rows.tolist() == best(np.arange(4000), scores, k).rows.tolist()


def test_vectors_that_find_the_same_items_do_not_repeat_them(flat, catalogue):
    twice = np.repeat(catalogue[:3, None], 2, axis=1)  # [3, 2, D]
    for hits, alone in zip(flat.search(twice, 10), flat.search(catalogue[:3], 10), strict=True):
        assert hits.rows.tolist() == alone.rows.tolist()
        assert hits.scores.tolist() == alone.scores.tolist()
    with pytest.raises(ValueError, match="exclude has 6 entries for 3 queries"):
        flat.search(twice, 10, [np.empty(0, np.int64)] * 6)


@pytest.fixture(scope="module")
def shop(clustered):
    """A catalogue large enough for FAISS to narrow its search: rows and their clusters."""
    vectors = clustered(24_000, 32, 5)
    return vectors, np.argmax(vectors @ clustered(100, 32, 6).T, axis=1)


@pytest.fixture(scope="module")
def stored_as_int8(shop):
    vectors, _ = shop
    plan = Plan("IVF128,PQ32x4fs", "test")
    index = make_index(plan, vectors, 64, 0, False)
    return ItemIndex(StoredVectors.keep(vectors, "int8"), index, SearchParameters(nprobe=24, rescore=4.0, k=10))


def rows_of_share(shop, share, kind):
    """Rows of a filter that leaves about that share: of all alike, or whole clusters, as a category does."""
    vectors, clusters = shop
    if kind == "anywhere":
        return np.flatnonzero(np.random.default_rng(1).random(len(vectors)) < share)
    order = np.argsort(np.random.default_rng(2).permutation(100)[clusters], kind="stable")
    return np.sort(order[: int(share * len(vectors))])


@pytest.mark.parametrize("share", [0.95, 0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("kind", ["anywhere", "clusters"])
@pytest.mark.parametrize("scanned", [10_000, 20])
def test_recall_holds_under_a_filter(stored_as_int8, shop, users, monkeypatch, share, kind, scanned):
    monkeypatch.setattr(
        ItemIndex, "scanned_rows", scanned
    )  # few: FAISS's selector has to answer for narrow filters too
    allowed = rows_of_share(shop, share, kind)
    queries = users(shop[0], 60, 7)
    assert index_recall(stored_as_int8, queries, 10, shop[0], allowed) >= 0.95


@pytest.mark.parametrize("name", ["flat", "ivf", "thrifty"])
@given(seed=st.integers(0, 10_000), k=st.integers(1, 60), left=st.integers(0, 4000), excluded=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_answers_under_a_filter_are_whole_and_hold_no_other_row(request, name, catalogue, seed, k, left, excluded):
    index = request.getfixturevalue(name)
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(2, 32)).astype(np.float32)
    allowed = rng.choice(4000, left, replace=False)
    exclude = [rng.choice(4000, excluded, replace=False), np.empty(0, np.int64)]
    with mock.patch.object(ItemIndex, "scanned_rows", 100):
        answers = index.search(queries, k, exclude, allowed)
    for query, excluded, hits in zip(queries, exclude, answers, strict=True):
        possible = np.setdiff1d(allowed, excluded)
        assert len(hits.rows) == len(np.unique(hits.rows)) == min(k, len(possible))
        assert np.isin(hits.rows, possible).all()
        assert hits.scores.tolist() == exact_scores(catalogue[hits.rows], query).tolist()
        if name == "flat":
            truth = best(possible, exact_scores(catalogue[np.sort(possible)], query), k)
            assert hits.rows.tolist() == truth.rows.tolist()


def test_a_filter_made_ready_answers_as_its_rows_do(stored_as_int8, shop, users):
    rows, queries = rows_of_share(shop, 0.6, "anywhere"), users(shop[0], 20, 8)
    ready = stored_as_int8.allow(rows)
    for once, again in zip(
        stored_as_int8.search(queries, 10, allowed=rows), stored_as_int8.search(queries, 10, allowed=ready), strict=True
    ):
        assert once.rows.tolist() == again.rows.tolist()


def test_a_filter_that_leaves_nothing_is_answered_with_nothing(ivf):
    (hits,) = ivf.search(np.ones((1, 32), np.float32), 5, allowed=np.empty(0, np.int64))
    assert len(hits.rows) == 0


def test_a_filter_of_rows_that_do_not_exist_is_refused(ivf):
    with pytest.raises(ValueError, match="allowed names rows 4000…4000; there are rows 0…3999"):
        ivf.search(np.ones((1, 32), np.float32), 5, allowed=np.array([4000]))


@pytest.mark.parametrize("factory", ["HNSW16,SQ8", "SQ8", "PQ32x4fs", "IVF32_HNSW16,SQ8", "PCAR32,IVF32,PQ32x4fs"])
def test_any_index_keeps_the_promises(catalogue, users, factory):
    index = make(catalogue, Plan(factory, "test"), SearchParameters(nprobe=32, rescore=8.0, k=10))
    queries, allowed = users(catalogue, 30, 9), np.arange(0, 4000, 2)
    assert index_recall(index, queries, 10) >= 0.95
    assert index_recall(index, queries, 10, allowed=allowed) >= 0.95
    assert all(len(hits.rows) == 300 for hits in index.search(queries, 300, [np.arange(50)] * 30, allowed))


@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_scores_are_exact_for_the_vectors_as_they_are_stored(catalogue, users, form):
    stored = StoredVectors.keep(catalogue, form)
    index = ItemIndex(
        stored, make_index(Plan("IVF32,PQ32x4fs", "test"), catalogue, 64, 0, False), SearchParameters(16, 4.0, 10)
    )
    kept = stored.numbers.astype(np.float64) * stored.scale
    assert np.abs(kept - catalogue).max() <= {"float32": 0.0, "float16": 3e-4, "int8": 4e-3}[form]
    queries = users(catalogue, 20, 10)
    for hits, query in zip(index.search(queries, 20, [np.arange(9)] * 20), queries, strict=True):
        np.testing.assert_allclose(hits.scores, kept[hits.rows] @ query, rtol=1e-5, atol=1e-6)
    alone = index.search(queries[3:4], 20)[0]
    assert alone.scores.tolist() == index.search(queries, 20)[3].scores.tolist()


def test_rows_that_ascend_are_made_ready_without_sorting_them(monkeypatch):
    vectors = np.eye(6, dtype=np.float32)
    index = make(vectors, Plan("Flat", "test"), SearchParameters(1, 1.0, 3))
    expected = index.allow(np.array([4, 1, 1, 3]))
    monkeypatch.setattr(np, "unique", lambda *_: pytest.fail("sorted what ascends already"))
    selection = index.allow(np.array([1, 3, 4]))
    np.testing.assert_array_equal(selection.rows, expected.rows)
    np.testing.assert_array_equal(selection.bits, expected.bits)
    assert index.allow(np.zeros(0, np.int64)).rows.size == 0
