"""Neighbours of the history's items: the servable form of the baselines that lead from item to item."""

from typing import Protocol, Self

import scipy.sparse as sp

from towers.baselines.training_data import TrainingData
from towers.channels.channel import FittedChannel, largest
from towers.channels.profiles import ByItems
from towers.fitting import require


class Leading(Protocol):
    """A baseline that scores by a table of items, such as `ItemKNN` and `Cooccurrence`.

    Attributes:
        table: what each item says of each other, [N, N], once fitted.
        decay: weight of each event relative to the next newer one.
    """

    table: sp.csr_array
    decay: float

    def fit(self, training: TrainingData) -> Self: ...


class Neighbours:
    """What most resembles, or follows, the items of the history.

    Args:
        baseline: whose table is served.
        kept: entries of it kept for each item.
    """

    def __init__(self, baseline: Leading, kept: int) -> None:
        require("channels: kept", kept, 1)
        self.baseline, self.kept = baseline, kept

    def fit(self, training: TrainingData) -> FittedChannel:
        """Fit the baseline, and keep the strongest links."""
        table = self.baseline.fit(training).table
        return FittedChannel(ByItems(training.interactions.num_items, self.baseline.decay), largest(table, self.kept))
