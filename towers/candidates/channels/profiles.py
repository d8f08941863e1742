"""User profiles of channels: the items of the history, users who had the like, categories, or nothing at all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from towers.baselines.recency import basket_profiles, recency_profiles, sets
from towers.baselines.similarity import SIMILARITIES, Sets, nearest
from towers.candidates.channels.channel import TABLE, registered
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


def silent(items: pd.DataFrame, things: int) -> sp.csr_array:
    """Scores that things learnt from events give M items which nobody has had yet: none, [M, X]."""
    return sp.csr_array((len(items), things), dtype=np.float32)


def moved(
    table: sp.csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sp.csr_array:
    """A sparse table with its rows and columns moved to others; -1 for those that are gone."""
    row = rows[np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))]
    column = columns[table.indices]
    kept = (row >= 0) & (column >= 0)
    return sp.csr_array((table.data[kept], (row[kept], column[kept])), shape=shape)


@dataclass(frozen=True)
class _CatalogueProfile:
    """A profile over the catalogue itself, X = N.

    Attributes:
        num_items: N.
    """

    num_items: int

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        count = len(items)
        return replace(self, num_items=count), moved(table, new_rows, new_rows, (count, count))

    def grown(self, items: pd.DataFrame) -> tuple[Self, sp.csr_array]:
        return self, silent(items, self.num_items)

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(**settings)


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
class UsersProfile:
    """The users of the log whose items are most like those of the history, X of them; see `UserKNN`.

    Attributes:
        people: the items of each: X sets of N items.
        similarity: name of the similarity of two sets of items.
        shrinkage: similarities seen n times count n / (n + shrinkage).
        neighbours: users in a profile.
    """

    kind: ClassVar[str] = "users"

    people: Sets
    similarity: str
    shrinkage: float
    neighbours: int

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, X], similarities."""
        count = self.people.holders.shape[0]
        items, similarity = sets(_known(histories, count), count), SIMILARITIES[self.similarity]
        return nearest(items, self.people, similarity, self.shrinkage, self.neighbours, themselves=True)

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        everybody, count = np.arange(len(self.people.sizes)), len(items)
        holders = moved(self.people.holders, new_rows, everybody, (count, len(everybody)))
        remaining = moved(table, everybody, new_rows, (len(everybody), count))
        return replace(self, people=replace(self.people, holders=holders)), remaining

    def grown(self, items: pd.DataFrame) -> tuple[Self, sp.csr_array]:
        return self, silent(items, len(self.people.sizes))

    def settings(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("similarity", "shrinkage", "neighbours")}
        return {"shape": list(self.people.holders.shape), **kept}

    def arrays(self) -> dict[str, NDArray[Any]]:
        holders = {f"holders.{name}": getattr(self.people.holders, name) for name in TABLE}
        return {"sizes": self.people.sizes, **holders}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        kept = dict(settings)
        parts = tuple(arrays[f"holders.{name}"] for name in TABLE)
        holders = sp.csr_array(parts, shape=tuple(kept.pop("shape")), copy=False)
        return cls(Sets(holders, arrays["sizes"]), **kept)


@registered
@dataclass(frozen=True)
class CategoriesProfile:
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
        return type(self)(groups, self.count, self.decay), remaining

    def grown(self, items: pd.DataFrame) -> tuple[Self, sp.csr_array]:
        return self, silent(items, self.count)

    def settings(self) -> dict[str, Any]:
        return {"count": self.count, "decay": self.decay}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"groups": self.groups}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(arrays["groups"], **settings)


@registered
@dataclass(frozen=True)
class ConstantProfile:
    """The same for all users, X = 1."""

    kind: ClassVar[str] = "constant"

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """Ones, [B, 1]."""
        return sp.csr_array(np.ones((len(histories), 1), np.float32))

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        return self, moved(table, np.zeros(1, np.int64), new_rows, (1, len(items)))

    def grown(self, items: pd.DataFrame) -> tuple[Self, sp.csr_array]:
        return self, silent(items, 1)

    def settings(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls()
