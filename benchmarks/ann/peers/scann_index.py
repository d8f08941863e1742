"""ScaNN (https://github.com/google-research/google-research/tree/master/scann), SOAR and re-ordering on."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scann
from worker import Rows, Search, Vectors


class Scann:
    """A tree of leaves with anisotropic 4-bit codes; the best candidates are scored again."""

    def __init__(self, searcher: Any) -> None:
        self.searcher = searcher

    def bytes(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            self.searcher.serialize(folder)
            return sum(path.stat().st_size for path in Path(folder).iterdir())

    def search(self, setting: dict[str, Any], k: int) -> Search:
        def search(queries: Vectors) -> Rows:
            found, _ = self.searcher.search_batched(
                queries,
                final_num_neighbors=k,
                pre_reorder_num_neighbors=setting["reorder"],
                leaves_to_search=setting["leaves"],
            )
            return np.asarray(found).astype(np.int64)

        return search


def build(vectors: Vectors, leaves: int) -> Scann:
    """Partition, quantise, keep the vectors for re-ordering; on one thread."""
    builder = scann.scann_ops_pybind.builder(vectors, 100, "dot_product").set_n_training_threads(1)
    builder = builder.tree(
        num_leaves=leaves,
        num_leaves_to_search=leaves // 16,
        training_sample_size=len(vectors),
        soar_lambda=1.5,
        overretrieve_factor=2.0,
    )
    builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(400)
    return Scann(builder.build())
