"""EASE: the linear item-item model, in closed form; see `towers.baselines.linear`."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.linear import linear_weights
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData


class Ease:
    """Scores by the item weights that best rebuild every user's set without using an item for itself.

    Args:
        regularization: L2 penalty, in squared co-occurrences.
        decay: weight of each event relative to the next newer one; 1 is the paper's.
        max_items: largest catalogue that is inverted: memory is 12 bytes · N², time grows with N³.
    """

    name = "ease"

    def __init__(self, regularization: float, decay: float, max_items: int) -> None:
        require("regularization", regularization, 1e-6)
        require("decay", decay, 0, 1)
        self.regularization, self.decay, self.max_items = regularization, decay, max_items

    def fit(self, training: TrainingData) -> Self:
        """Invert the regularised item-item matrix.

        Raises:
            DoesNotApply: the catalogue is larger than `max_items`.
        """
        n = training.interactions.num_items
        if n > self.max_items:
            raise DoesNotApply(
                f"{n:,} items are more than max_items {self.max_items:,}; "
                f"raise max_items if {12 * n * n / 1e9:.0f} GB of memory are free"
            )
        matrix = training.interactions.matrix()
        matrix.data[:] = 1
        self.table = linear_weights(matrix, self.regularization)  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]."""
        profiles = recency_profiles(histories, len(self.table), self.decay)
        return torch.from_numpy(profiles @ self.table)
