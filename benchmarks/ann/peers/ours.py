"""Ours, as `index.build` chooses, trains and calibrates it: its own functions, with the values of `conf/build.yaml`."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from worker import Rows, Search, Vectors

from data_prep.command import instantiate, load_config
from index.build import BuildConfig
from index.calibration import ChosenIndex, Yardstick, calibrate, choose_index
from index.search import ItemIndex


class Ours:
    """An index that finds its setting for a recall on users whom the measurement does not see."""

    def __init__(self, chosen: ChosenIndex, yardstick: Yardstick) -> None:
        self.chosen = chosen
        self.yardstick = yardstick
        self.found: dict[float, ItemIndex] = {}

    def bytes(self) -> int:
        return len(faiss.serialize_index(self.chosen.index)) + self.chosen.stored.numbers.nbytes

    def search(self, setting: dict[str, Any], k: int) -> Search:
        items = self._calibrated(setting["recall_target"])

        def search(queries: Vectors) -> Rows:
            faiss.omp_set_num_threads(1)  # FAISS counts threads for each of the caller's
            return np.stack([hits.rows for hits in items.search(queries, k)])

        return search

    def _calibrated(self, target: float) -> ItemIndex:
        if target not in self.found:
            index, stored = self.chosen.index, self.chosen.stored
            found = calibrate(index, self.yardstick, target, stored)
            self.found[target] = ItemIndex(stored, index, found.parameters)
        return self.found[target]


def build(vectors: Vectors, users: str, overrides: list[str]) -> Ours:
    """Choose, train and fill.

    Args:
        vectors: [N, D].
        users: path of the user vectors that calibration sees.
        overrides: of `conf/build.yaml`.
    """
    faiss.omp_set_num_threads(1)
    config = load_config(BuildConfig, "build", ["run=none", "data=none", *overrides])
    asked = np.load(Path(users))[: config.calibration_users]
    chosen = choose_index(instantiate(config.index).plans(*vectors.shape), vectors, asked, config.index_settings)
    return Ours(chosen, Yardstick.of(vectors, asked, config.recall_k))
