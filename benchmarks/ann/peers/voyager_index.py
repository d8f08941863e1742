"""voyager (https://github.com/spotify/voyager)."""

from typing import Any

import numpy as np
import voyager
from worker import Rows, Search, Vectors


class Voyager:
    """A graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def bytes(self) -> int:
        return len(self.graph.as_bytes())

    def search(self, setting: dict[str, Any], k: int) -> Search:
        def search(queries: Vectors) -> Rows:
            return np.asarray(self.graph.query(queries, k, num_threads=1, query_ef=setting["ef"])[0]).astype(np.int64)

        return search


def build(vectors: Vectors, m: int, ef_construction: int) -> Voyager:
    """Add every vector on one thread."""
    graph = voyager.Index(
        voyager.Space.InnerProduct, num_dimensions=vectors.shape[1], M=m, ef_construction=ef_construction, random_seed=0
    )
    graph.add_items(vectors, num_threads=1)
    return Voyager(graph)
