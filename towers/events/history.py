"""A user's history, and histories in bulk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import UsageError

NO_QUERY = -1


@dataclass(frozen=True)
class History:
    """Events of one user, oldest first, and their attributes.

    Attributes:
        rows: items interacted with, [L], as rows of the catalogue.
        events: type of each event ("view", "purchase", …), length L; a type the model never saw is allowed.
        timestamps: seconds since the epoch, UTC, [L]; NaN where unknown.
        attributes: of the user, column -> value.
    """

    rows: NDArray[np.int64]
    events: Sequence[str]
    timestamps: NDArray[np.float64]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Self:
        """The history of a user without events."""
        return cls(np.zeros(0, np.int64), (), np.zeros(0))

    def last(self, n: int) -> "History":
        """The newest n events."""
        start = max(len(self.rows) - n, 0)
        return History(self.rows[start:], self.events[start:], self.timestamps[start:], self.attributes)


def packs_of_like_length(histories: Sequence[History], longest: int, tokens: int) -> list[NDArray[np.int64]]:
    """Positions of histories in packs of similar length, so that little of a pack is padding.

    Args:
        histories: B histories.
        longest: events that are read of each, at most.
        tokens: padded events in a pack, at most (one history if that is longer).

    Returns:
        Packs that together hold each of 0…B-1 once, shortest histories first.
    """
    lengths = np.minimum([len(history.rows) for history in histories], longest).astype(np.int64)
    order = np.argsort(lengths, kind="stable")
    packs, start = [], 0
    for i, position in enumerate(order.tolist()):
        if i > start and (i + 1 - start) * lengths[position] > tokens:
            packs.append(order[start:i])
            start = i
    return [*packs, order[start:]] if len(order) else []


@dataclass(frozen=True)
class Sequences:
    """Every user's events, oldest first, as flat arrays cut by `offsets`.

    Attributes:
        user_ids: [U] the callers' strings.
        offsets: [U + 1]; the events of user u are at offsets[u]:offsets[u + 1].
        rows: [E] item of each event, a row of the catalogue.
        events: [E] event types.
        timestamps: [E] seconds since the epoch; NaN in a log that has order but no times.
        queries: [E] position in `query_texts` of the search that led to the event, NO_QUERY where there was none.
        query_texts: distinct search texts of the log.
        splits: [E] a `Split` each; within a user the values never decrease.
        attributes: of the users, column -> [U] values, "" where unknown; only columns that were asked for.
    """

    user_ids: NDArray[np.object_]
    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    events: NDArray[np.object_]
    timestamps: NDArray[np.float64]
    queries: NDArray[np.int64]
    query_texts: list[str]
    splits: NDArray[np.int64]
    attributes: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    @classmethod
    def from_events(cls, events: pd.DataFrame, item_ids: pd.Index, split_column: str, has_times: bool) -> Self:
        """Read the canonical events table, which is sorted by user and time."""
        owners = events[Columns.USER_ID].to_numpy(dtype=object)
        first = np.flatnonzero(np.append(True, owners[1:] != owners[:-1])[: len(owners)])
        seconds = events[Columns.TIMESTAMP].astype("datetime64[ns, UTC]").astype("int64").to_numpy() / 1e9
        queries, texts = _queries(events)
        return cls(
            user_ids=owners[first],
            offsets=np.append(first, len(events)).astype(np.int64),
            rows=item_ids.get_indexer(pd.Index(events[Columns.ITEM_ID])).astype(np.int64),
            events=events[Columns.EVENT].to_numpy(dtype=object),
            timestamps=seconds if has_times else np.full(len(events), np.nan),
            queries=queries,
            query_texts=texts,
            splits=events[split_column].to_numpy(dtype=np.int64),
        )

    def with_attributes(self, users: pd.DataFrame | None, columns: Sequence[str]) -> "Sequences":
        """The same log, with some columns of the canonical users table.

        Raises:
            UsageError: there is no such table, or it lacks a column.
        """
        if not columns:
            return self
        if users is None:
            raise UsageError(
                f"tower.attributes.columns: {', '.join(columns)}: the dataset knows no users' attributes (it has no "
                "users.parquet); leave them out, or prepare the data with a user table"
            )
        known = [str(name) for name in users.columns if name != Columns.USER_ID]
        missing = [name for name in columns if name not in known]
        if missing:
            raise UsageError(
                f"tower.attributes.columns: users have no {', '.join(missing)}; there is "
                f"{', '.join(known) or 'nothing'}"
            )
        table = users.set_index(Columns.USER_ID)[list(columns)].astype("string").fillna("")
        table = table.reindex(pd.Index(self.user_ids), fill_value="")
        return replace(self, attributes={name: table[name].to_numpy(dtype=object) for name in columns})

    def over(self, new_rows: NDArray[np.int64]) -> "Sequences":
        """The same log over another catalogue.

        Args:
            new_rows: for each row of the old catalogue the item's row in the new one; -1 where it has none, and its
                events are left out.
        """
        rows = new_rows[self.rows]
        kept = rows >= 0
        before = np.concatenate([[0], np.cumsum(kept)])
        return replace(
            self,
            offsets=before[self.offsets],
            rows=rows[kept],
            events=self.events[kept],
            timestamps=self.timestamps[kept],
            queries=self.queries[kept],
            splits=self.splits[kept],
        )

    def __len__(self) -> int:
        return len(self.user_ids)

    def ends(self, before: int) -> NDArray[np.int64]:
        """For each user the position one past their last event of a `Split` earlier than `before`, [U]."""
        earlier = np.concatenate([[0], np.cumsum(self.splits < before)])
        counts = earlier[self.offsets[1:]] - earlier[self.offsets[:-1]]
        return np.asarray(self.offsets[:-1] + counts, np.int64)

    def history(self, user: int, end: int, length: int | None = None) -> History:
        """Events of `user` before position `end`; only the newest `length` if given."""
        start = int(self.offsets[user])
        if length is not None:
            start = max(start, end - length)
        part = slice(start, end)
        attributes = {column: str(values[user]) for column, values in self.attributes.items()}
        return History(self.rows[part], self.events[part].tolist(), self.timestamps[part], attributes)


def _queries(events: pd.DataFrame) -> tuple[NDArray[np.int64], list[str]]:
    if Columns.QUERY not in events:
        return np.full(len(events), NO_QUERY, np.int64), []
    codes, texts = pd.factorize(events[Columns.QUERY].replace("", None))
    return np.asarray(codes, np.int64), [str(text) for text in texts]


def basket_starts(timestamps: NDArray[np.float64]) -> NDArray[np.int64]:
    """First position of each event's instant in [L] ascending times; an unknown time is an instant of its own."""
    new = np.diff(timestamps, prepend=np.nan) != 0  # NaN is unequal to everything
    return np.maximum.accumulate(np.where(new, np.arange(len(timestamps)), 0))
