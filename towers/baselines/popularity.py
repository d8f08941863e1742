"""Popularity and its trend: the same ranking for everybody."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.events.history import History
from towers.events.interactions import Interactions
from towers.events.training_data import TrainingData

DAY = 86_400.0


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
    """Scores an item by how likely a user who may is to take it up now; see `uptake_rates`.

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
        trend = popularity_trend(log, training.exclude_seen, self.half_life_days)
        self.weights = torch.from_numpy(trend.astype(np.float32))  # [N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The trend, once for each history: [B, N]."""
        return self.weights.repeat(len(histories), 1)


def popularity_trend(log: Interactions, exclude_seen: bool, half_life_days: float) -> NDArray[np.float64]:
    """Popularity of each item now, [N], 0 for items without events.

    The rate at which it is taken up (see `uptake_rates`); where the log has no times every event counts alike.

    Args:
        log: the events.
        exclude_seen: only first events count, against those who have yet to have one.
        half_life_days: an event this much older than the newest of the log counts half.
    """
    counts = log.counts()
    if not len(log.rows) or np.isnan(log.timestamps).any():
        return counts.astype(np.float64)
    now, _ = uptake_rates(log, exclude_seen, half_life_days, prior_events=1.0)
    return np.where(counts > 0, now, 0.0)


def uptake_rates(
    log: Interactions, exclude_seen: bool, half_life_days: float, prior_events: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How likely a user who may is to take up each item within a day: now, and on average; see `towers.blocks.trend`.

    Args:
        log: events with times, at least one.
        exclude_seen: only first events count, against those who have yet to have one.
        half_life_days, prior_events: as of `Trend`.

    Returns:
        [N] each.
    """
    events = pd.DataFrame({"user": log.users, "row": log.rows, "time": log.timestamps})
    if exclude_seen:
        events = events.sort_values("time", kind="stable").drop_duplicates(["user", "row"])
    rows, newest, oldest = events["row"].to_numpy(), log.timestamps.max(), log.timestamps.min()
    age = (newest - events["time"].to_numpy()) / DAY
    span = max((newest - oldest) / DAY, 1e-9)
    window = half_life_days / np.log(2) * (1 - 0.5 ** (span / half_life_days))  # days, each by its weight
    people, number = len(log.offsets) - 1, log.num_items
    taken = np.bincount(rows, minlength=number)  # [N]
    recent = np.bincount(rows, 0.5 ** (age / half_life_days), minlength=number)
    once = 1.0 if exclude_seen else 0.0  # an event takes its user from those who may yet have one
    had = once * taken
    had_on_average = once * np.bincount(rows, age / span, minlength=number)  # each from its event on
    prior = prior_events / half_life_days
    return (recent / window + prior) / (people - had + 1), (taken / span + prior) / (people - had_on_average + 1)
