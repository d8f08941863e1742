"""Blocks: vectors of items, beside the towers' own, whose user counterpart is a weighted sum over the history.

An item vector is [towers ; block ; …] and so is a user vector: one inner product adds up their scores, and the
index and the server know nothing of blocks. The towers are the part that is trained; a block here is fitted by counting
or in closed form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns
from data_prep.config import require
from towers.events.training_data import TrainingData
from towers.text.whitening import Whitening


@dataclass(frozen=True)
class HistoryWeights:
    """How a block reads a history.

    Attributes:
        decay: weight of an event relative to the next newer one.
        max_history: newest events read; 0 for a block that is the same for everybody.
    """

    decay: float
    max_history: int

    def __post_init__(self) -> None:
        require("blocks: decay", self.decay, 0, 1)
        require("blocks: max_history", self.max_history, 0)


class FittedBlock(Protocol):
    """A block that knows its items.

    Attributes:
        name: in tables and files.
        dim: length of its vectors.
        reading: how it reads a history.
        start: first value of every user vector, [d]: all there is for a user without history.
        whitening: brings a query's sentence vector among the item vectors; None where queries are not read.
        item_ids: the items the rows of `state` belong to; None where they are of no items.
    """

    name: str
    reading: HistoryWeights

    @property
    def dim(self) -> int: ...

    @property
    def start(self) -> NDArray[np.float32]: ...

    @property
    def whitening(self) -> Whitening | None: ...

    @property
    def item_ids(self) -> pd.Index | None: ...

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of items, known to training or not; zero where the block knows nothing.

        Args:
            items: canonical items table, N rows.
            sentences: raw sentence vectors of their texts, [N, text_dim].

        Returns:
            [N, d].
        """

    def history_vectors(self, items: pd.DataFrame) -> NDArray[np.float32] | None:
        """Vectors that items of a history add to the user's, [N, d]; None where they are the item vectors."""

    def state(self) -> Mapping[str, Tensor]:
        """Learnt tensors by name."""

    @classmethod
    def restore(
        cls, name: str, reading: HistoryWeights, item_ids: pd.Index | None, state: Mapping[str, Tensor]
    ) -> Self:
        """The block that these were taken from."""


class Block(Protocol):
    """The recipe of a block, as configured."""

    def fit(self, training: TrainingData) -> FittedBlock:
        """Learn from the events and items of training.

        Raises:
            DoesNotApply: these data do not allow it.
        """


def by_item(table: NDArray[np.float32], item_ids: pd.Index, items: pd.DataFrame) -> NDArray[np.float32]:
    """Rows of a table for the items of a catalogue, zeros for items it does not know.

    Args:
        table: [K, d].
        item_ids: of its rows, K.
        items: canonical items table, N rows.

    Returns:
        [N, d].
    """
    positions = item_ids.get_indexer(pd.Index(items[Columns.ITEM_ID]))
    known = positions >= 0
    vectors = np.zeros((len(items), table.shape[1]), np.float32)
    vectors[known] = table[positions[known]]
    return vectors
