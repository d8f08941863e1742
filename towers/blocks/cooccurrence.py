"""Co-occurrence factors: which item leads to which, in a few hundred dimensions."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns
from towers.baselines.training_data import TrainingData
from towers.cooccurrence import directional_cooccurrence, factors
from towers.fitting import require


class CooccurrenceFactors:
    """The directional co-occurrence matrix, factored: what an item leads to, and what leads to it.

    An item that training never saw has a zero here: its other blocks speak for it.

    Args:
        rank: dimensions; at most one less than there are items.
        decay: weight of a history's event relative to the next newer one.
        max_gap, gap_exponent, backward, source_exponent, target_exponent: see `directional_cooccurrence`.
        seed: of the factorisation.
    """

    name = "cooccurrence"

    def __init__(
        self,
        rank: int,
        decay: float,
        max_gap: int,
        gap_exponent: float,
        backward: float,
        source_exponent: float,
        target_exponent: float,
        seed: int,
    ) -> None:
        require("blocks.cooccurrence.rank", rank, 1)
        require("blocks.cooccurrence.decay", decay, 0, 1)
        self.rank = rank
        self.decay = decay
        self.counting = {
            "max_gap": max_gap,
            "gap_exponent": gap_exponent,
            "backward": backward,
            "source_exponent": source_exponent,
            "target_exponent": target_exponent,
        }
        self.seed = seed

    def fit(self, training: TrainingData) -> "FittedCooccurrence":
        """Count pairs and factor them."""
        matrix = directional_cooccurrence(training.interactions, **self.counting)  # type: ignore[arg-type]
        known = training.interactions.counts() > 0
        source, target = factors(matrix, self.rank, self.seed)
        item_ids = pd.Index(training.items[Columns.ITEM_ID])[known]
        return FittedCooccurrence(self.decay, item_ids, source[known], target[known])


class FittedCooccurrence:
    """Factors by item.

    Args:
        decay: weight of a history's event relative to the next newer one.
        item_ids: the items that training saw, K.
        source: what each leads to, [K, d].
        target: what leads to each, [K, d].
    """

    name = CooccurrenceFactors.name
    whitening: None = None

    def __init__(
        self, decay: float, item_ids: pd.Index, source: NDArray[np.float32], target: NDArray[np.float32]
    ) -> None:
        self.decay = decay
        self.item_ids = item_ids
        self.source = source
        self.target = target

    @property
    def dim(self) -> int:
        return int(self.target.shape[1])

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """What leads to each item, [N, d]."""
        return self._by_item(self.target, items)

    def history_vectors(self, items: pd.DataFrame) -> NDArray[np.float32]:
        """What each item leads to, [N, d]."""
        return self._by_item(self.source, items)

    def state(self) -> Mapping[str, Tensor]:
        return {"source": torch.from_numpy(self.source), "target": torch.from_numpy(self.target)}

    @classmethod
    def restore(cls, decay: float, item_ids: pd.Index | None, state: Mapping[str, Tensor]) -> Self:
        assert item_ids is not None
        return cls(decay, item_ids, state["source"].numpy(), state["target"].numpy())

    def _by_item(self, table: NDArray[np.float32], items: pd.DataFrame) -> NDArray[np.float32]:
        place = self.item_ids.get_indexer(pd.Index(items[Columns.ITEM_ID]))
        known = place >= 0
        vectors = np.zeros((len(items), table.shape[1]), np.float32)
        vectors[known] = table[place[known]]
        return vectors
