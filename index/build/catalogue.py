"""The catalogue that a bundle is built of: items, logged changes, the log of events, the difference from before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from index.build.gates import check_items
from index.bundle.change_log import Change, ChangeLog, Merged
from index.bundle.item_table import POPULARITY, as_table
from towers.events import LogSettings, Sequences, read_sequences_of

NAMED = 5
"""Ids that a comparison names of each kind."""


@dataclass(frozen=True)
class Catalogue:
    """Items and the log over them.

    Attributes:
        items: item table with popularity; row order is index order.
        sequences: the log as the run saw it, over those items.
        rows: row of each item of the dataset among them; -1 where it has none.
    """

    items: pd.DataFrame
    sequences: Sequences
    rows: NDArray[np.int64]

    @classmethod
    def read(cls, dataset: Dataset, log: LogSettings, changes: "LoggedChanges") -> "Catalogue":
        """The dataset's items with the changes logged since, and its log under the run's split.

        Args:
            dataset: the prepared tables.
            log: the part of the log that the run saw.
            changes: to the items.

        Raises:
            GateFailed: items that cannot be served.
        """
        items = dataset.items.reset_index(drop=True)
        check_items(items)
        items, rows = changes.apply(items)
        check_items(items)
        sequences = read_sequences_of(dataset, log).over(rows)
        training = sequences.rows[sequences.splits == Split.TRAIN]
        popularity = np.bincount(training, minlength=len(items))
        return cls(items.assign(**{POPULARITY: popularity}), sequences, rows)


@dataclass(frozen=True)
class LoggedChanges:
    """Changes of a catalogue's items that a log holds.

    Attributes:
        newest: the last change of each item, of those that count.
        merged: the part of the log that a bundle made with them holds; None where there is no log.
        since: changes from then on count; earlier ones were known when the item table was made.
    """

    newest: Sequence[Change]
    merged: Merged | None
    since: datetime

    @classmethod
    def read(cls, log: ChangeLog, since: datetime) -> "LoggedChanges":
        """Read a log to its end."""
        changes = log.read_on()
        newest = {change.item_id: change for change in changes if datetime.fromisoformat(change.time) >= since}
        return cls(list(newest.values()), Merged(log.id, log.last) if changes else None, since)

    @property
    def mark(self) -> str:
        """Stands for these changes among those of the same log."""
        return self.since.isoformat()

    def apply(self, items: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """The item table with these changes: changed items in their place, new ones at the end.

        Args:
            items: the dataset's item table, N rows.

        Returns:
            the table, and for each of the N rows its new place, -1 for an item that was taken out, [N].
        """
        if not self.newest:
            return items, np.arange(len(items))
        put = as_table([change.item for change in self.newest if change.item is not None], items)
        ids = items[Columns.ITEM_ID]
        former = pd.Index(ids).get_indexer(pd.Index(put[Columns.ITEM_ID]))  # row of the item replaced, -1 for a new one
        kept = ~ids.isin({change.item_id for change in self.newest})
        new = np.arange(len(items), len(items) + len(put))
        order = np.argsort(np.concatenate([np.flatnonzero(kept), np.where(former >= 0, former, new)]))
        table = pd.concat([items[kept], put], ignore_index=True).iloc[order].reset_index(drop=True)
        stays = ~ids.isin({change.item_id for change in self.newest if change.item is None}).to_numpy(dtype=bool)
        return table, np.where(stays, np.cumsum(stays) - 1, -1)


@dataclass(frozen=True)
class Comparison:
    """How a catalogue differs from the one before it.

    Attributes:
        version: the bundle compared with.
        added, changed, removed: how many items are new, differ in some column, are gone.
        first: the first ids of each, by the same three names.
    """

    version: str
    added: int
    changed: int
    removed: int
    first: dict[str, list[str]]

    def __str__(self) -> str:
        parts = [
            f"{getattr(self, kind):,} {kind}"
            + (f" ({', '.join(ids)}{', …' if getattr(self, kind) > len(ids) else ''})" if ids else "")
            for kind, ids in self.first.items()
        ]
        return f"{', '.join(parts)} since {self.version}"


def same_items(before: pd.DataFrame, now: pd.DataFrame) -> NDArray[np.int64]:
    """For each item the row of the very same item in an earlier table, [N]; -1 where it is new or has changed.

    Args:
        before: the earlier table.
        now: the table, N rows; an item is the same if all columns but its popularity are.
    """
    former = pd.Index(before[Columns.ITEM_ID]).get_indexer(pd.Index(now[Columns.ITEM_ID]))
    columns = [column for column in now.columns if column != POPULARITY]
    if set(columns) != {column for column in before.columns if column != POPULARITY}:
        return np.full(len(now), -1)
    known = np.flatnonzero(former >= 0)
    same = np.ones(len(known), bool)
    for column in columns:
        same &= _equal(before[column].iloc[former[known]], now[column].iloc[known])
    return np.where(np.isin(np.arange(len(now)), known[same]), former, -1)


def compare(version: str, before: pd.DataFrame, now: pd.DataFrame, same: NDArray[np.int64]) -> Comparison:
    """Count the differences.

    Args:
        version: name of the earlier bundle.
        before, now: the item tables.
        same: `same_items(before, now)`.
    """
    old, new = before[Columns.ITEM_ID], now[Columns.ITEM_ID]
    known = new.isin(old).to_numpy(dtype=bool)
    kinds = {"added": new[~known], "changed": new[known & (same < 0)], "removed": old[~old.isin(new)]}
    return Comparison(
        version=version,
        **{kind: len(ids) for kind, ids in kinds.items()},
        first={kind: [str(item_id) for item_id in ids.iloc[:NAMED]] for kind, ids in kinds.items()},
    )


def _equal(left: Any, right: Any) -> NDArray[np.bool_]:
    """Whether values are equal, [n]; unknown ones are."""
    if left.dtype == object or right.dtype == object:  # vectors, or of mixed kinds
        pairs = zip(left, right, strict=True)
        return np.array([_plain(a) == _plain(b) for a, b in pairs], bool)
    unknown = left.isna().to_numpy(dtype=bool) & right.isna().to_numpy(dtype=bool)
    equal = (left.reset_index(drop=True) == right.reset_index(drop=True)).fillna(False).to_numpy(dtype=bool)
    same: NDArray[np.bool_] = equal | unknown
    return same


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list | tuple):
        return [float(number) for number in value]
    return None if value is pd.NA or value != value else value
