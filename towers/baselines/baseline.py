"""The interface of a baseline."""

from typing import Protocol, Self

from data_prep.errors import UsageError
from towers.events.training_data import TrainingData
from towers.metrics.evaluation import Scorer


class DoesNotApply(UsageError):
    """A baseline cannot be fitted to this data or on this machine; the message says why, and what to do."""


class Baseline(Scorer, Protocol):
    """A scorer that is fitted by counting or in closed form; settings go to the constructor."""

    def fit(self, training: TrainingData) -> Self:
        """Learn from the events.

        Raises:
            DoesNotApply: these data or this machine do not allow it.
        """
