"""Popularity: the same ranking for everyone."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.popularity_trend import DAY, demand
from towers.events.history import History
from towers.events.training_data import TrainingData


class Popularity:
    """Scores an item by its number of training events."""

    name = "popularity"

    def fit(self, training: TrainingData) -> Self:
        """Count events."""
        self.weights = torch.from_numpy(training.interactions.counts().astype(np.float32))  # [N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The counts, once for each history: [B, N]."""
        return self.weights.repeat(len(histories), 1)


class DecayedPopularity:
    """Scores an item by its training events, older ones counting less: what is popular now.

    Args:
        half_life_days: an event this much older than the newest of the log counts half.
    """

    name = "decayed popularity"

    def __init__(self, half_life_days: float) -> None:
        require("half_life_days", half_life_days, 1e-6)
        self.half_life_days = half_life_days

    def fit(self, training: TrainingData) -> Self:
        """Count events by age.

        Raises:
            DoesNotApply: the log has no times; an order within each user says nothing of age across users.
        """
        log = training.interactions
        if np.isnan(log.timestamps).any() or not len(log.rows):
            raise DoesNotApply("the log has no times, so events have no age; use popularity")
        age = (log.timestamps.max() - log.timestamps) / DAY  # [E]
        weights = np.bincount(log.rows, 0.5 ** (age / self.half_life_days), minlength=log.num_items)
        self.weights = torch.from_numpy(weights.astype(np.float32))  # [N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The decayed counts, once for each history: [B, N]."""
        return self.weights.repeat(len(histories), 1)


class Trending:
    """Scores an item by how likely somebody who may is to take it up now; see `towers.baselines.popularity_trend`.

    Where seen items are not recommended, those who have had an item count no more.

    Args:
        half_life_days: an event this much older than the newest of the log counts half.
    """

    name = "trending"

    def __init__(self, half_life_days: float) -> None:
        require("half_life_days", half_life_days, 1e-3)
        self.half_life_days = half_life_days

    def fit(self, training: TrainingData) -> Self:
        """Count events by age.

        Raises:
            DoesNotApply: the log has no times, so nothing is newer than anything else.
        """
        log = training.interactions
        if np.isnan(log.timestamps).any() or not len(log.rows):
            raise DoesNotApply("the log has no times, so nothing is newer than anything else; use popularity")
        trend = demand(log, training.exclude_seen, self.half_life_days)
        self.weights = torch.from_numpy(trend.astype(np.float32))  # [N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The trend, once for each history: [B, N]."""
        return self.weights.repeat(len(histories), 1)
