"""User profiles of channels: the items of the history, users who had the like, categories, or nothing at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from towers.baselines.recency import basket_profiles, recency_profiles, sets
from towers.baselines.similarity import SIMILARITIES, Sets, nearest
from towers.candidates.channels.channel import UserProfile, registered
from towers.events.history import History


def known_items(history: History, num_items: int) -> History:
    """The events with rows below `num_items`: a channel knows nothing of what was added to a catalogue later."""
    kept = history.rows < num_items
    if kept.all():
        return history
    events = [event for event, inside in zip(history.events, kept, strict=True) if inside]
    return History(history.rows[kept], events, history.timestamps[kept])


def _known(histories: Sequence[History], num_items: int) -> list[History]:
    return [known_items(history, num_items) for history in histories]


def moved(
    table: sp.csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sp.csr_array:
    """A sparse table with its rows and columns moved to others; -1 for those that are gone."""
    row = rows[np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))]
    column = columns[table.indices]
    kept = (row >= 0) & (column >= 0)
    return sp.csr_array((table.data[kept], (row[kept], column[kept])), shape=shape)


@dataclass(frozen=True)
class _CatalogueProfile(UserProfile):
    """A profile over the catalogue itself, X = N.

    Attributes:
        num_items: N.
    """

    num_items: int

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        count = len(items)
        return replace(self, num_items=count), moved(table, new_rows, new_rows, (count, count))


@registered
@dataclass(frozen=True)
class ItemsProfile(_CatalogueProfile):
    """The items of the history.

    Attributes:
        decay: weight of each event relative to the next newer one.
    """

    kind: ClassVar[str] = "items"

    decay: float

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, N]."""
        return recency_profiles(_known(histories, self.num_items), self.num_items, self.decay)


@registered
@dataclass(frozen=True)
class BasketsProfile(_CatalogueProfile):
    """The items of the newest baskets.

    Attributes:
        step_weights: of the last basket, the one before it, …
    """

    kind: ClassVar[str] = "baskets"

    step_weights: list[float]

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, N]."""
        return basket_profiles(_known(histories, self.num_items), self.num_items, self.step_weights)


@registered
@dataclass(frozen=True)
class UsersProfile(UserProfile):
    """The users of the log whose items are most like those of the history, X of them; see `UserKNN`.

    Attributes:
        holders: which of them had each item, [N, X] of ones.
        sizes: number of items of each, [X].
        similarity: name of the similarity of two sets of items.
        shrinkage: similarities seen n times count n / (n + shrinkage).
        neighbours: users in a profile.
    """

    kind: ClassVar[str] = "users"

    holders: sp.csr_array
    sizes: NDArray[np.float32]
    similarity: str
    shrinkage: float
    neighbours: int

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, X], similarities."""
        count = self.holders.shape[0]
        items, similarity = sets(_known(histories, count), count), SIMILARITIES[self.similarity]
        return nearest(
            items, Sets(self.holders, self.sizes), similarity, self.shrinkage, self.neighbours, themselves=True
        )

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        everybody, count = np.arange(len(self.sizes)), len(items)
        remaining = moved(table, everybody, new_rows, (len(everybody), count))
        return replace(self, holders=moved(self.holders, new_rows, everybody, (count, len(everybody)))), remaining


@registered
@dataclass(frozen=True)
class CategoriesProfile(UserProfile):
    """The categories of the history's items, each by its share of the history, X of them.

    Attributes:
        groups: category of each item, [N]; -1 for none.
        count: X.
        decay: weight of each event relative to the next newer one.
    """

    kind: ClassVar[str] = "categories"

    groups: NDArray[np.int32]
    count: int
    decay: float

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, X], rows that add up to 1 where there is a history with categories."""
        items = recency_profiles(_known(histories, len(self.groups)), len(self.groups), self.decay)
        groups = self.groups[items.indices]
        users = np.repeat(np.arange(len(histories)), np.diff(items.indptr))
        inside = groups >= 0
        coordinates = (users[inside], groups[inside])
        shares = sp.csr_array((items.data[inside], coordinates), shape=(len(histories), self.count))
        shares.sum_duplicates()
        totals = np.asarray(shares.sum(axis=1))
        shares.data /= np.repeat(totals, np.diff(shares.indptr))
        return shares

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        groups, kept = np.full(len(items), -1, np.int32), new_rows >= 0
        groups[new_rows[kept]] = self.groups[kept]
        remaining = moved(table, np.arange(self.count), new_rows, (self.count, len(items)))
        return replace(self, groups=groups), remaining


@registered
@dataclass(frozen=True)
class ConstantProfile(UserProfile):
    """The same for all users, X = 1."""

    kind: ClassVar[str] = "constant"

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """Ones, [B, 1]."""
        return sp.csr_array(np.ones((len(histories), 1), np.float32))

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        return self, moved(table, np.zeros(1, np.int64), new_rows, (1, len(items)))
