"""hnswlib (https://github.com/nmslib/hnswlib)."""

import os
import tempfile
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from worker import Rows, Search, Vectors


class Hnswlib:
    """A graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def bytes(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "index")
            self.graph.save_index(os.fspath(path))
            return path.stat().st_size

    def search(self, setting: dict[str, Any], k: int) -> Search:
        self.graph.set_ef(setting["ef"])

        def search(queries: Vectors) -> Rows:
            return np.asarray(self.graph.knn_query(queries, k=k, num_threads=1)[0]).astype(np.int64)

        return search


def build(vectors: Vectors, m: int, ef_construction: int) -> Hnswlib:
    """Add every vector on one thread."""
    graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
    graph.init_index(max_elements=len(vectors), M=m, ef_construction=ef_construction, random_seed=0)
    graph.add_items(vectors, num_threads=1)
    return Hnswlib(graph)
