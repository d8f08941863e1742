"""Neighbours: the servable form of the baselines that lead from item to item, and from user to similar user."""

from typing import Protocol, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.config import require
from data_prep.errors import UsageError
from towers.baselines.knn import UserKNN
from towers.baselines.markov import Markov
from towers.baselines.similarity import SIMILARITIES
from towers.candidates.channels.channel import FittedChannel, largest
from towers.candidates.channels.profiles import BasketsProfile, ItemsProfile, UsersProfile
from towers.events.training_data import TrainingData


class Leading(Protocol):
    """A baseline that scores by a table of items, such as `ItemKNN`, `Cooccurrence` and `Ease`.

    Attributes:
        table: what each item says of each other, [N, N], once fitted; sparse or not.
        decay: weight of each event relative to the next newer one.
    """

    table: sp.csr_array | NDArray[np.float32]
    decay: float

    def fit(self, training: TrainingData) -> Self: ...


class Neighbours:
    """Items that most resemble, or follow, those of the history.

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
        return FittedChannel(
            ItemsProfile(training.interactions.num_items, self.baseline.decay), largest(table, self.kept)
        )


class NextBasket:
    """Items that followed the newest baskets of the history.

    Args:
        baseline: whose transitions are served.
        kept: transitions kept of each item.
    """

    def __init__(self, baseline: Markov, kept: int) -> None:
        require("channels: kept", kept, 1)
        self.baseline, self.kept = baseline, kept

    def fit(self, training: TrainingData) -> FittedChannel:
        """Count transitions, and keep the strongest."""
        fitted = self.baseline.fit(training)
        baskets = BasketsProfile(training.interactions.num_items, fitted.step_weights)
        return FittedChannel(baskets, largest(fitted.transitions, self.kept))


class SimilarUsers:
    """Items of users whose histories are like this one.

    The items of all users are kept, without their ids: memory is that of the log's distinct pairs, and an answer
    costs in proportion to the users who share an item with the history.

    Args:
        baseline: how users are compared, and how many make a profile.
    """

    def __init__(self, baseline: UserKNN) -> None:
        if baseline.similarity.name not in SIMILARITIES:
            raise UsageError(f"channels: similarity {baseline.similarity.name!r} is none of {', '.join(SIMILARITIES)}")
        self.baseline = baseline

    def fit(self, training: TrainingData) -> FittedChannel:
        """Keep everybody's items."""
        fitted = self.baseline.fit(training)
        people = UsersProfile(
            fitted.people.holders, fitted.people.sizes, fitted.similarity.name, fitted.shrinkage, fitted.neighbours
        )
        return FittedChannel(people, fitted.items)
