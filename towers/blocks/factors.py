"""Factors of an item-item matrix: vectors of items as sources, in a history, and as targets."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.blocks.block import HistoryWeights, by_item


class FittedFactors:
    """Factors by item. An item without any has a zero here: its other blocks speak for it.

    Args:
        name: of the block.
        reading: how it reads a history.
        item_ids: the items that training saw, K.
        source: factors of each as an item of the history, [K, d].
        target: factors of each as an item to be scored, [K, d].
    """

    whitening: None = None

    def __init__(
        self,
        name: str,
        reading: HistoryWeights,
        item_ids: pd.Index,
        source: NDArray[np.float32],
        target: NDArray[np.float32],
    ) -> None:
        self.name = name
        self.reading = reading
        self.item_ids = item_ids
        self.source = source
        self.target = target

    @property
    def dim(self) -> int:
        return int(self.target.shape[1])

    @property
    def start(self) -> NDArray[np.float32]:
        return np.zeros(self.dim, np.float32)

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Target factors, [N, d]."""
        return by_item(self.target, self.item_ids, items)

    def history_vectors(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """Source factors, [N, d]."""
        return by_item(self.source, self.item_ids, items)

    def state(self) -> Mapping[str, Tensor]:
        return {"source": torch.from_numpy(self.source), "target": torch.from_numpy(self.target)}

    @classmethod
    def restore(
        cls, name: str, reading: HistoryWeights, item_ids: pd.Index | None, state: Mapping[str, Tensor]
    ) -> Self:
        assert item_ids is not None
        return cls(name, reading, item_ids, state["source"].numpy(), state["target"].numpy())
