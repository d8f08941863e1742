"""Cleaning rules: each is one small class that leaves something out and counts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import GateFailed, UsageError
from data_prep.tables import Tables, among


class Rule(Protocol):
    """A cleaning rule. Rules run in the order of the config; an earlier one may make work for a later one."""

    def apply(self, tables: Tables) -> Tables:
        """The tables without the rows that the rule objects to."""


@dataclass(frozen=True)
class BadRows:
    """Leaves out events without a user, an item, or (where there are times) a readable time."""

    def apply(self, tables: Tables) -> Tables:
        for column, reason in [(Columns.USER_ID, "no user id"), (Columns.ITEM_ID, "no item id")]:
            tables = tables.without_bad_rows(tables.events[column].isna().to_numpy(), reason)
        if tables.has_times:
            gone = tables.events[Columns.TIMESTAMP].isna().to_numpy()
            tables = tables.without_bad_rows(gone, "no readable time")
        return tables


@dataclass(frozen=True)
class TimeSanity:
    """Leaves out events from before there were shops on line, and from the future.

    Attributes:
        earliest: ISO date; clocks that were never set write 1970.
        latest: ISO date and time; None means the moment of the run.
        tolerance_hours: how far clocks may run ahead of ours.
    """

    earliest: str
    latest: str | None
    tolerance_hours: float

    def apply(self, tables: Tables) -> Tables:
        if not tables.has_times:
            return tables
        first = _instant("earliest", self.earliest)
        now = pd.Timestamp.now("UTC") if self.latest is None else _instant("latest", self.latest)
        last = now + pd.Timedelta(hours=self.tolerance_hours)
        gone = (tables.events[Columns.TIMESTAMP] < first).to_numpy()
        tables = tables.without_bad_rows(gone, f"before {first:%Y-%m-%d}")
        gone = (tables.events[Columns.TIMESTAMP] > last).to_numpy()
        return tables.without_bad_rows(gone, "in the future")


@dataclass(frozen=True)
class DuplicateItems:
    """Keeps the first row of each item id, and leaves out items that have none."""

    def apply(self, tables: Tables) -> Tables:
        tables = tables.without_items(tables.items[Columns.ITEM_ID].isna().to_numpy(), "no item id")
        again = tables.items[Columns.ITEM_ID].duplicated().to_numpy()
        return tables.without_items(again, "same item id as an earlier row")


@dataclass(frozen=True)
class UnknownItems:
    """Leaves out events whose item is not in the item table."""

    def apply(self, tables: Tables) -> Tables:
        known = among(tables.events[Columns.ITEM_ID], tables.items[Columns.ITEM_ID])
        return tables.without_events(~known, "item not in the item table")


@dataclass(frozen=True)
class LowRatings:
    """Leaves out events rated below a minimum; events without a rating stay.

    Attributes:
        minimum: the lowest rating that stays, on the source's own scale.
    """

    minimum: float

    def apply(self, tables: Tables) -> Tables:
        if Columns.RATING not in tables.events.columns:
            return tables
        gone = (tables.events[Columns.RATING] < self.minimum).to_numpy()
        return tables.without_events(gone, f"rated below {self.minimum:g}")


@dataclass(frozen=True)
class Duplicates:
    """Keeps one of several events of the same user, item, type and instant: double clicks, lines sent twice.

    Without times nothing tells a duplicate from a repeat, so nothing is left out.
    """

    def apply(self, tables: Tables) -> Tables:
        if not tables.has_times:
            return tables
        key = [Columns.USER_ID, Columns.ITEM_ID, Columns.TIMESTAMP, Columns.EVENT]
        again = tables.events.duplicated(key).to_numpy()
        return tables.without_events(again, "same user, item, type and time")


@dataclass(frozen=True)
class Repeats:
    """Keeps a user's first event with an item: the task is then to find items that are new to the user.

    Attributes:
        per_event_type: whether the first view and the first purchase of an item both stay.
    """

    per_event_type: bool

    def apply(self, tables: Tables) -> Tables:
        key = [Columns.USER_ID, Columns.ITEM_ID] + ([Columns.EVENT] if self.per_event_type else [])
        times = tables.events[Columns.TIMESTAMP].dt.tz_localize(None).to_numpy()
        in_time = np.argsort(times, kind="stable")
        again = np.empty(len(tables.events), dtype=bool)
        again[in_time] = tables.events[key].take(in_time).duplicated().to_numpy()
        return tables.without_events(again, "not the user's first event with the item")


@dataclass(frozen=True)
class Core:
    """Leaves out users and items with few events, again and again until none is left (a "k-core").

    Attributes:
        user_events: fewest events of a user that stays.
        item_events: fewest events of an item that stays; 0 keeps the items nobody has touched yet, which
            a shop wants to show, and 1 leaves them out.
    """

    user_events: int
    item_events: int

    def apply(self, tables: Tables) -> Tables:
        users, _ = pd.factorize(tables.events[Columns.USER_ID])
        items, names = pd.factorize(tables.events[Columns.ITEM_ID])
        kept = core(users, items, self.user_events, self.item_events)
        reason = f"outside the core ({self.user_events} events a user, {self.item_events} an item)"
        tables = tables.without_events(~kept, reason)
        if self.item_events == 0:
            return tables
        remaining = pd.Series(names).take(np.unique(items[kept]))
        gone = ~among(tables.items[Columns.ITEM_ID], remaining)
        return tables.without_items(gone, f"fewer than {self.item_events} events")


def core(users: NDArray[np.int64], items: NDArray[np.int64], user_events: int, item_events: int) -> NDArray[np.bool_]:
    """Which events remain when users and items with too few are removed until nothing changes.

    Args:
        users: user codes from 0, shape [events].
        items: item codes from 0, shape [events].
        user_events: fewest events of a user.
        item_events: fewest events of an item.

    Returns:
        A mask of the events that stay, shape [events]: the largest such set, whatever the order of removal.
    """
    kept = np.arange(len(users))
    while True:
        enough = np.bincount(users[kept])[users[kept]] >= user_events
        enough &= np.bincount(items[kept])[items[kept]] >= item_events
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), dtype=bool)
    mask[kept] = True
    return mask


def clean(tables: Tables, rules: Sequence[Rule]) -> Tables:
    """Apply cleaning rules in their order."""
    for rule in rules:
        tables = rule.apply(tables)
    return tables


def require_few_bad_rows(tables: Tables, max_bad_rows: float) -> None:
    """Refuse logs of which too much makes no sense: the mapping is probably wrong.

    Args:
        tables: with the rows counted as bad so far.
        max_bad_rows: the largest tolerable share of the rows read, 0 to 1.

    Raises:
        GateFailed: the share is larger; the message counts the reasons and shows the first bad rows.
    """
    bad = sum(tables.bad_rows.values())
    if bad <= max_bad_rows * tables.rows_read:
        return
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in tables.bad_rows.items() if number)
    examples = "".join(f"\n  {example}" for example in tables.examples)
    raise GateFailed(
        f"{bad:,} of {tables.rows_read:,} rows are bad ({bad / tables.rows_read:.1%}), more than "
        f"max_bad_rows={max_bad_rows:g}: {reasons}. Check the column mapping and the time format, "
        f"or raise max_bad_rows. The first of them:{examples}"
    )


def _instant(name: str, text: str) -> pd.Timestamp:
    try:
        instant = pd.Timestamp(text)
    except ValueError as error:
        raise UsageError(f"cleaning.times.{name} must be an ISO date, not '{text}'") from error
    return instant.tz_localize("UTC") if instant.tzinfo is None else instant.tz_convert("UTC")
