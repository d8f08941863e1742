"""What a block is: a way of turning items into vectors, whose user counterpart is a weighted sum over the history.

An item vector is [towers ; block ; …] and so is a user vector: one inner product adds up what each has to say, and the
index and the server know nothing of blocks. The towers are the part that is trained; a block here is fitted by counting
or in closed form.
"""

from collections.abc import Mapping
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from towers.baselines.training_data import TrainingData
from towers.text_features import Whitening


class FittedBlock(Protocol):
    """A block that knows its items.

    Attributes:
        name: what it is called in tables and files.
        dim: length of its vectors.
        decay: weight of a history's event relative to the next newer one.
        whitening: brings a query's sentence vector among the item vectors; None where queries say nothing.
        item_ids: the items the rows of `state` belong to; None where they are of no items.
    """

    name: str
    decay: float

    @property
    def dim(self) -> int: ...

    @property
    def whitening(self) -> Whitening | None: ...

    @property
    def item_ids(self) -> pd.Index | None: ...

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of items, known to training or not; zero where the block has nothing to say.

        Args:
            items: canonical items table, N rows.
            sentences: raw sentence vectors of their texts, [N, text_dim].

        Returns:
            [N, d].
        """

    def history_vectors(self, items: pd.DataFrame) -> NDArray[np.float32] | None:
        """What each item adds to the vector of somebody who touched it, [N, d]; None where it is the item vector."""

    def state(self) -> Mapping[str, Tensor]:
        """All that was learnt, as tensors."""

    @classmethod
    def restore(cls, decay: float, item_ids: pd.Index | None, state: Mapping[str, Tensor]) -> Self:
        """The block that these were taken from."""


class Block(Protocol):
    """The recipe of a block, as configured."""

    def fit(self, training: TrainingData) -> FittedBlock:
        """Learn from the events and items of training."""
