"""Events that models may learn from, with the items they are of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from towers.events.interactions import Interactions


@dataclass(frozen=True)
class TrainingData:
    """Events and items before the events to be predicted.

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
