"""The interface of a baseline.

A baseline is added by a class with this interface in a module of this room, its name in the room's `__init__.pyi`,
and a file in conf/baselines with its `_target_` and settings; `baselines=[its_name]` then puts it into the tables.
"""

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
