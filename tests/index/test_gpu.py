"""GPUs train where there are any; elsewhere one warning and the CPU."""

import logging

import faiss
import numpy as np
import pytest

from data_prep.command import UsageError
from index.device import check_gpu
from index.exact import exact_search
from index.factory import Plan, make_index
from index.search import ItemIndex, SearchParameters

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


@pytest.mark.gpu
@pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="needs a GPU that FAISS sees")
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
