"""usearch (https://github.com/unum-cloud/usearch)."""

from typing import Any

import numpy as np
from usearch.index import Index
from worker import Rows, Search, Vectors


class Usearch:
    """A graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def bytes(self) -> int:
        return int(self.graph.serialized_length)

    def search(self, setting: dict[str, Any], k: int) -> Search:
        self.graph.expansion_search = setting["ef"]

        def search(queries: Vectors) -> Rows:
            return np.asarray(self.graph.search(queries, k, threads=1).keys).astype(np.int64).reshape(len(queries), -1)

        return search


def build(vectors: Vectors, m: int, ef_construction: int, dtype: str) -> Usearch:
    """Add every vector on one thread."""
    graph = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=m, expansion_add=ef_construction)
    graph.add(np.arange(len(vectors)), vectors, threads=1)
    return Usearch(graph)
