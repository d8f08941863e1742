"""Interactions of users with items as flat arrays: input of all that counts instead of being trained by gradient."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.columns import Split
from towers.events.history import History, Sequences, basket_starts


@dataclass(frozen=True)
class Interactions:
    """The events a model may learn from, users one after the other, each user's oldest first.

    Attributes:
        offsets: [U + 1]; the events of user u are at offsets[u]:offsets[u + 1].
        rows: [E] item of each event.
        timestamps: [E] seconds since the epoch; NaN where unknown.
        num_items: N.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    num_items: int

    @classmethod
    def of(cls, sequences: Sequences, num_items: int, until: Split | None) -> Self:
        """The events of all splits earlier than `until`, as a model trained until then has seen them; None for all."""
        before = Split.TEST + 1 if until is None else until
        kept = sequences.splits < before
        lengths = sequences.ends(before) - sequences.offsets[:-1]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(offsets, sequences.rows[kept], sequences.timestamps[kept], num_items)

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """User of each event, [E]."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def baskets(self) -> NDArray[np.int64]:
        """First position of each event's basket, the user's events of one instant, [E]."""
        starts = basket_starts(self.timestamps)
        return np.maximum(starts, self.offsets[self.users])

    def matrix(self) -> sp.csr_array:
        """Events of each user with each item, [U, N]."""
        ones = np.ones(len(self.rows), np.float32)
        shape = (len(self.offsets) - 1, self.num_items)
        counts = sp.csr_array((ones, (self.users, self.rows)), shape=shape)
        counts.sum_duplicates()
        return counts

    def counts(self) -> NDArray[np.int64]:
        """Events of each item, [N]."""
        return np.bincount(self.rows, minlength=self.num_items)

    def history(self, user: int) -> History:
        """All events of one user, their types unknown."""
        part = slice(int(self.offsets[user]), int(self.offsets[user + 1]))
        return History(self.rows[part], [""] * (part.stop - part.start), self.timestamps[part])
