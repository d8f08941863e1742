"""Popular items: of all users, and within the categories of a history."""

from typing import Protocol, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from torch import Tensor

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.popularity import popularity_trend
from towers.candidates.channels.channel import FittedChannel, largest
from towers.candidates.channels.profiles import CategoriesProfile, ConstantProfile
from towers.events.training_data import TrainingData


class Counting(Protocol):
    """A baseline that scores items alike for everybody, such as `Popularity` and `Trending`.

    Attributes:
        weights: of each item, [N], once fitted.
    """

    weights: Tensor

    def fit(self, training: TrainingData) -> Self: ...


class PopularItems:
    """The same list for everybody.

    Args:
        baseline: whose weights order the items.
        kept: items in the list.
    """

    def __init__(self, baseline: Counting, kept: int) -> None:
        require("channels: kept", kept, 1)
        self.baseline, self.kept = baseline, kept

    def fit(self, training: TrainingData) -> FittedChannel:
        """Count.

        Raises:
            DoesNotApply: the baseline does not.
        """
        weights = self.baseline.fit(training).weights.numpy()
        return FittedChannel(ConstantProfile(), largest(weights[np.newaxis], self.kept))


class SameCategory:
    """The most popular items of the history's categories, each category by its share.

    A sum over categories c of the share that c has in the history times the share that an item has of c's events.

    Args:
        half_life_days: an event this much older than the newest of the log counts half.
        decay: weight of an event relative to the next newer one.
        kept: items kept of each category.
    """

    def __init__(self, half_life_days: float, decay: float, kept: int) -> None:
        require("channels.same_category.half_life_days", half_life_days, 1e-3)
        require("channels.same_category.decay", decay, 0, 1)
        require("channels.same_category.kept", kept, 1)
        self.half_life_days, self.decay, self.kept = half_life_days, decay, kept

    def fit(self, training: TrainingData) -> FittedChannel:
        """Count.

        Raises:
            DoesNotApply: the items have no category.
        """
        if Columns.CATEGORY not in training.items:
            raise DoesNotApply("the items have no category; prepare the data with one")
        codes, names = pd.factorize(training.items[Columns.CATEGORY].replace("", None))
        groups, count = codes.astype(np.int32), max(len(names), 1)
        popularity = popularity_trend(training.interactions, training.exclude_seen, self.half_life_days)
        inside = np.flatnonzero((groups >= 0) & (popularity > 0))
        totals = np.bincount(groups[inside], popularity[inside], minlength=count)
        shares = popularity[inside] / totals[groups[inside]]
        table = sp.csr_array((shares, (groups[inside], inside)), shape=(count, len(groups)))
        return FittedChannel(CategoriesProfile(groups, count, self.decay), largest(table, self.kept))
