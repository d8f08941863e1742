"""FAISS (https://github.com/facebookresearch/faiss): an index as its factory makes it."""

from typing import Any

import faiss
import numpy as np
from worker import Rows, Search, Vectors


class Faiss:
    """An index and its search parameters."""

    def __init__(self, index: Any) -> None:
        self.index = index

    def bytes(self) -> int:
        return len(faiss.serialize_index(self.index))

    def search(self, setting: dict[str, Any], k: int) -> Search:
        parameters = _parameters(setting)

        def search(queries: Vectors) -> Rows:
            faiss.omp_set_num_threads(1)  # FAISS counts threads for each of the caller's
            return np.asarray(self.index.search(queries, k, params=parameters)[1])

        return search


def build(vectors: Vectors, factory: str) -> Faiss:
    """Train with FAISS's own defaults and fill."""
    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    return Faiss(index)


def _parameters(setting: dict[str, Any]) -> Any:
    if "ef" in setting:
        return faiss.SearchParametersHNSW(efSearch=setting["ef"])
    if "nprobe" not in setting:
        return None
    inner = faiss.SearchParametersIVF(nprobe=setting["nprobe"])
    if "k_factor" not in setting:
        return inner
    return faiss.IndexRefineSearchParameters(k_factor=setting["k_factor"], base_index_params=inner)
