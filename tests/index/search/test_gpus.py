"""GPUs train where there are any; elsewhere one warning and the CPU."""

import logging
from unittest import mock

import faiss
import numpy as np
import pytest

from data_prep.command import UsageError
from index.search.effort import SearchParameters
from index.search.exact import exact_search
from index.search.factory import Plan
from index.search.gpus import check_gpu
from index.search.item_index import ItemIndex
from tests.index.indexes import make_index

PLAN = Plan("IVF16,PQ16x4fs", "test")


def refuse(*_):
    raise RuntimeError("out of memory")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)


def test_without_a_gpu_there_is_one_warning_and_an_index(no_gpu, clustered, caplog):
    with caplog.at_level(logging.WARNING):
        index = make_index(PLAN, clustered(2000, 16, 0), 64, 0, require_gpu=False)
    assert index.ntotal == 2000
    assert ["FAISS sees no GPU" in record.message for record in caplog.records] == [True]


def test_requiring_a_gpu_where_there_is_none_is_a_usage_error(no_gpu, clustered):
    with pytest.raises(UsageError, match="require_gpu=true, but FAISS sees no GPU"):
        make_index(PLAN, clustered(2000, 16, 0), 64, 0, require_gpu=True)


def test_a_gpu_that_fails_gives_way_to_the_cpu(monkeypatch, clustered, caplog):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", refuse)
    with caplog.at_level(logging.WARNING):
        index = make_index(PLAN, clustered(2000, 16, 0), 64, 0, require_gpu=False)
    assert index.ntotal == 2000
    assert ["out of memory" in record.message for record in caplog.records] == [True]
    with pytest.raises(UsageError, match="the GPU failed: out of memory"):
        make_index(PLAN, clustered(2000, 16, 0), 64, 0, require_gpu=True)


def test_centroids_trained_elsewhere_end_in_the_same_kind_of_index(monkeypatch, clustered):
    """The road a GPU takes, walked with a stand-in that stays on the CPU."""
    vectors = clustered(2000, 16, 0)
    expected = faiss.serialize_index(make_index(PLAN, vectors, 64, 0, require_gpu=False))
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda index: index)
    found = faiss.serialize_index(make_index(PLAN, vectors, 64, 0, require_gpu=True))
    assert np.array_equal(found, expected)


@pytest.fixture
def two_gpus(monkeypatch):
    """Two stand-ins for GPUs that stay on the CPU; lists where each search was made."""
    used = []

    class Copy:
        def __init__(self, device, index):
            self.device, self.index = device, index

        def search(self, queries, depth, params):
            used.append((self.device, depth))
            return self.index.search(queries, depth, params=params)

    class Options:
        shard = useFloat16LookupTables = False

    def to_gpu(resources, device, index, options):
        assert options.useFloat16LookupTables
        if isinstance(index, faiss.IndexIVFPQFastScan):
            raise RuntimeError("This index type is not implemented on GPU.")
        return Copy(device, index)

    def to_shards(resources, index, options, gpus):
        assert options.shard and options.useFloat16LookupTables and len(resources) == len(gpus) == 2
        return Copy("shards", index)

    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    for name, stand_in in {
        "StandardGpuResources": object,
        "GpuClonerOptions": Options,
        "GpuMultipleClonerOptions": Options,
        "index_cpu_to_all_gpus": lambda index: index,
        "index_cpu_to_gpu": to_gpu,
        "index_cpu_to_gpu_multiple_py": to_shards,
    }.items():
        monkeypatch.setattr(faiss, name, stand_in, raising=False)
    return used


@pytest.fixture(scope="module")
def scalar(clustered):
    vectors = clustered(5000, 32, 0)
    index = make_index(Plan("IVF32,SQ8", "test"), vectors, 64, 0, require_gpu=False)
    return ItemIndex(vectors, index, SearchParameters(16, 2.0, 10))


def same(found, expected):
    return all(np.array_equal(a.rows, b.rows) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("shard", [False, True])
def test_gpus_take_turns_and_answer_as_the_cpu(two_gpus, scalar, users, shard):
    queries = users(scalar.stored.numbers, 20, 1)
    moved = scalar.on_gpus(shard, require_gpu=True)
    for _ in range(2):
        assert same(moved.search(queries, 10), scalar.search(queries, 10))
    assert two_gpus == ([("shards", 20)] * 2 if shard else [(0, 20), (1, 20)])


def test_what_a_gpu_cannot_do_is_the_cpus(two_gpus, scalar, users):
    queries = users(scalar.stored.numbers, 5, 2)
    moved = scalar.on_gpus()
    assert same(moved.search(queries, 1100), scalar.search(queries, 1100))  # 2,200 candidates: beyond the limit
    allowed = np.arange(0, 5000, 2)
    with mock.patch.object(ItemIndex, "scanned_rows", 100):
        assert same(moved.search(queries, 10, allowed=allowed), scalar.search(queries, 10, allowed=allowed))
    assert two_gpus == []


def test_an_index_without_a_gpu_twin_is_searched_on_the_cpu_after_one_warning(two_gpus, clustered, users, caplog):
    vectors = clustered(2000, 16, 0)
    index = ItemIndex(vectors, make_index(PLAN, vectors, 64, 0, False), SearchParameters(8, 4.0, 10))
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        moved = index.on_gpus()
    assert ["not implemented on GPU" in record.message for record in caplog.records] == [True]
    assert same(moved.search(users(vectors, 5, 1), 10), index.search(users(vectors, 5, 1), 10))
    with pytest.raises(UsageError, match="IndexIVFPQFastScan is not on a GPU"):
        index.on_gpus(require_gpu=True)


def test_searching_on_a_gpu_that_is_not_there_is_a_warning_or_a_usage_error(no_gpu, scalar, users, caplog):
    with caplog.at_level(logging.WARNING):
        moved = scalar.on_gpus()
    assert ["FAISS sees no GPU" in record.message for record in caplog.records] == [True]
    assert len(moved.search(users(scalar.stored.numbers, 2, 1), 10)[0].rows) == 10
    with pytest.raises(UsageError, match="FAISS sees no GPU"):
        scalar.on_gpus(require_gpu=True)


needs_gpu = pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="needs a GPU that FAISS sees")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("factory", ["Flat", "IVF32,Flat", "IVF32,SQ8", "IVF32,PQ16np"])
@pytest.mark.parametrize("shard", [False, True])
def test_gpus_find_what_the_cpu_finds(clustered, users, factory, shard):
    vectors = clustered(20_000, 32, 0)
    index = make_index(Plan(factory, "test"), vectors, 320, 0, require_gpu=False)
    searched = ItemIndex(vectors, index, SearchParameters(16, 4.0, 10))
    queries = users(vectors, 64, 1)
    found, expected = searched.on_gpus(shard, require_gpu=True).search(queries, 10), searched.search(queries, 10)
    shared = [len(np.intersect1d(a.rows, b.rows)) for a, b in zip(found, expected, strict=True)]
    assert np.mean(shared) / 10 >= 0.98  # 16-bit tables order near-ties otherwise


@pytest.mark.gpu
@needs_gpu
def test_an_index_trained_on_a_gpu_is_read_and_searched_on_the_cpu(clustered, users, tmp_path):
    assert check_gpu(require_gpu=True) is None
    vectors = clustered(5000, 32, 0)
    index = make_index(Plan("IVF32,PQ32x4fs", "test"), vectors, 64, 0, require_gpu=True)
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    read = faiss.read_index(str(tmp_path / "index.faiss"))
    queries = users(vectors, 50, 1)
    found = ItemIndex(vectors, read, SearchParameters(16, 4.0, 10)).search(queries, 10)
    truth = exact_search(vectors, queries, 10)
    shared = [len(np.intersect1d(a.rows, b.rows)) for a, b in zip(found, truth, strict=True)]
    assert np.mean(shared) / 10 >= 0.95
