"""The trend: items that are taken up more now than over the whole log."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.popularity import uptake_rates
from towers.blocks.block import HistoryWeights, by_item
from towers.events.training_data import TrainingData


class Trend:
    """How much likelier an item is to be taken up now than it was on average, as a logarithm, the same for everybody.

    With r the events a day, in r_now newer ones counting more, and p a prior rate that holds rare items near zero,
        trend = log( (r_now + p) / (U - o + 1) ) - log( (r_mean + p) / (U - m + 1) ).
    Where seen items are not recommended only first events count, against those who have yet to have one: o of the U
    people had the item at the log's end, m at a moment of it, on average. Elsewhere o and m are 0. An item that
    training never saw has no trend.

    Source: the hazard rate of survival analysis, events over those at risk, here of each item.

    Args:
        half_life_days: a first event this much older than the newest of the log counts half.
        prior_events: first events within a half-life that every item is taken to have had beside its own.
    """

    name = "trend"

    def __init__(self, half_life_days: float, prior_events: float) -> None:
        require("blocks.trend.half_life_days", half_life_days, 1e-3)
        require("blocks.trend.prior_events", prior_events, 1e-6)
        self.half_life_days = half_life_days
        self.prior_events = prior_events

    def fit(self, training: TrainingData) -> "FittedTrend":
        """Count first events by age.

        Raises:
            DoesNotApply: the log has no times.
        """
        log = training.interactions
        if np.isnan(log.timestamps).any() or not len(log.rows):
            raise DoesNotApply("the log has no times, so nothing is newer than anything else")
        known = log.counts() > 0
        now, mean = uptake_rates(log, training.exclude_seen, self.half_life_days, self.prior_events)
        trend = np.log(now / mean)[known]
        return FittedTrend(pd.Index(training.items[Columns.ITEM_ID])[known], trend.astype(np.float32)[:, np.newaxis])


class FittedTrend:
    """The trend by item.

    Args:
        item_ids: the items that training saw, K.
        trend: of each, [K, 1].
    """

    name = Trend.name
    reading = HistoryWeights(decay=1.0, max_history=0)
    whitening: None = None

    def __init__(self, item_ids: pd.Index, trend: NDArray[np.float32]) -> None:
        self.item_ids = item_ids
        self.trend = trend

    @property
    def dim(self) -> int:
        return 1

    @property
    def start(self) -> NDArray[np.float32]:
        return np.ones(1, np.float32)

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """The trend of each item, [N, 1]; 0 of those that training never saw."""
        return by_item(self.trend, self.item_ids, items)

    def history_vectors(self, items: pd.DataFrame) -> None:
        """No history is read."""
        return None

    def state(self) -> Mapping[str, Tensor]:
        return {"trend": torch.from_numpy(self.trend)}

    @classmethod
    def restore(
        cls, name: str, reading: HistoryWeights, item_ids: pd.Index | None, state: Mapping[str, Tensor]
    ) -> Self:
        assert item_ids is not None
        return cls(item_ids, state["trend"].numpy())
