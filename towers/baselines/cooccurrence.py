"""Directional co-occurrence as a scorer of its own; the counting is in `towers.baselines.directional_cooccurrence`."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.directional_cooccurrence import directional_cooccurrence
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData


class Cooccurrence:
    """Scores an item by how strongly the items of the history lead to it.

    Args:
        max_gap, gap_exponent, backward, source_exponent, target_exponent: see `directional_cooccurrence`.
        decay: weight of each event relative to the next newer one.
    """

    name = "co-occurrence"

    def __init__(
        self,
        max_gap: int,
        gap_exponent: float,
        backward: float,
        source_exponent: float,
        target_exponent: float,
        decay: float,
    ) -> None:
        require("max_gap", max_gap, 1)
        require("decay", decay, 0, 1)
        self.max_gap, self.gap_exponent, self.backward = max_gap, gap_exponent, backward
        self.source_exponent, self.target_exponent, self.decay = source_exponent, target_exponent, decay

    def fit(self, training: TrainingData) -> Self:
        """Count pairs."""
        self.table = directional_cooccurrence(
            training.interactions,
            self.max_gap,
            self.gap_exponent,
            self.backward,
            self.source_exponent,
            self.target_exponent,
        )  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for items that never met the history's."""
        profiles = recency_profiles(histories, self.table.shape[0], self.decay)
        return torch.from_numpy((profiles @ self.table).toarray())
