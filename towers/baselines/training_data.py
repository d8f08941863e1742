"""What a baseline is, and what it may learn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import UsageError
from towers.evaluation import Scorer
from towers.interactions import Interactions


class DoesNotApply(UsageError):
    """A baseline cannot be fitted to this data or on this machine; the message says why, and what to do."""


@dataclass(frozen=True)
class TrainingData:
    """What is known before the events to be predicted.

    Attributes:
        interactions: the events.
        items: canonical items table, N rows.
        encode: sentence vectors of texts, n texts -> [n, text_dim].
        exclude_seen: items of a history are not recommended; otherwise repeats count.
    """

    interactions: Interactions
    items: pd.DataFrame
    encode: Callable[[Sequence[str]], NDArray[np.float32]]
    exclude_seen: bool

    @cached_property
    def texts(self) -> list[str]:
        """Text of each item, N of them."""
        return [str(text) for text in self.items[Columns.TEXT]]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Raw sentence vectors of the items, [N, text_dim]; encoded when first asked for."""
        return self.encode(self.texts)


class Baseline(Scorer, Protocol):
    """A scorer that is fitted by counting or in closed form; settings go to the constructor."""

    def fit(self, training: TrainingData) -> Self:
        """Learn from the events.

        Raises:
            DoesNotApply: these data or this machine do not allow it.
        """
