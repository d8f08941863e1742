"""Raw tables of a source, passed on by the cleaning rules, with an account of the rows left out."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_prep.columns import Column, Columns
from data_prep.parsing import UTC_TIME, ids


@dataclass(frozen=True)
class Tables:
    """Items, events and users on their way from raw logs to a dataset.

    Attributes:
        items: `item_id`, `title`, `text`, and whatever else is known of an item.
        events: `user_id`, `item_id`, `timestamp` (UTC; NaT throughout without times), `event`, and the
            optional columns of DESIGN's events table. A value that could not be read is null.
        users: `user_id` and attributes, where a source knows any.
        judgements: `query`, `item_id`, `grade` as `judgement_table` makes them, where a source has any.
        has_times: whether events have times; otherwise their order within a user is all there is.
        dropped: number of event rows left out, by reason, in the order it happened.
        bad_rows: number of event rows that made no sense, by reason; they count against `max_bad_rows`.
        examples: the first bad rows as a person would want to see them.
        items_dropped: number of items left out, by reason.
        judgements_dropped: number of judgements left out, by reason.
        files: that were read.
    """

    items: pd.DataFrame
    events: pd.DataFrame
    users: pd.DataFrame | None = None
    judgements: pd.DataFrame | None = None
    has_times: bool = True
    dropped: Mapping[str, int] = field(default_factory=dict)
    bad_rows: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    items_dropped: Mapping[str, int] = field(default_factory=dict)
    judgements_dropped: Mapping[str, int] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def rows_read(self) -> int:
        """Event rows there were before anything was left out."""
        return len(self.events) + sum(self.dropped.values()) + sum(self.bad_rows.values())

    def without_events(self, gone: NDArray[np.bool_], reason: str) -> "Tables":
        """Leave out the events marked `gone`, shape [events], and count them under `reason`."""
        dropped = _counted(self.dropped, reason, int(gone.sum()))
        return replace(self, events=_kept(self.events, gone), dropped=dropped)

    def without_bad_rows(self, gone: NDArray[np.bool_], reason: str) -> "Tables":
        """Leave out events that make no sense, shape [events], and keep the first three as examples."""
        shown = self.events[gone].head(3).astype(object)
        examples = tuple(f"{reason}: {_as_text(row)}" for row in shown.to_dict("records"))
        return replace(
            self,
            events=_kept(self.events, gone),
            bad_rows=_counted(self.bad_rows, reason, int(gone.sum())),
            examples=self.examples + examples,
        )

    def without_items(self, gone: NDArray[np.bool_], reason: str) -> "Tables":
        """Leave out the items marked `gone`, shape [items], and count them under `reason`."""
        dropped = _counted(self.items_dropped, reason, int(gone.sum()))
        return replace(self, items=_kept(self.items, gone), items_dropped=dropped)


class Source(Protocol):
    """Where raw logs come from: a small class with one method."""

    def load(self) -> Tables:
        """Read everything into memory, in source order.

        Raises:
            UsageError: a file or a column that was named is not there.
        """


def event_table(
    user_id: Column, item_id: Column, timestamp: Column | None, event: Column | str, **optional: Column
) -> pd.DataFrame:
    """An events table out of raw columns, row by row.

    Args:
        user_id: raw ids of any type, shape [N].
        item_id: raw ids of any type, shape [N].
        timestamp: UTC times as `parsing.times` gives them, shape [N]; None where there are none.
        event: event types, or one for all.
        optional: `query`, `rating`, `position`, `propensity`, already of their types.
    """
    unknown = pd.Series(pd.NaT, index=user_id.index, dtype=UTC_TIME)
    return pd.DataFrame(
        {
            Columns.USER_ID: ids(user_id),
            Columns.ITEM_ID: ids(item_id),
            Columns.TIMESTAMP: unknown if timestamp is None else timestamp,
            Columns.EVENT: event,
            **optional,
        }
    )


def among(values: Column, known: Column) -> NDArray[np.bool_]:
    """Which texts are among the known ones, shape [values]; a tenth of the time of `Series.isin`."""
    is_known = pc.is_in(pa.array(values.astype("str")), value_set=pa.array(known.astype("str")))
    return np.asarray(is_known.to_numpy(zero_copy_only=False), dtype=bool)


def _kept(frame: pd.DataFrame, gone: NDArray[np.bool_]) -> pd.DataFrame:
    return frame[~gone].reset_index(drop=True) if gone.any() else frame


def _counted(counts: Mapping[str, int], reason: str, number: int) -> dict[str, int]:
    return {**counts, reason: counts.get(reason, 0) + number}


def _as_text(row: Mapping[Hashable, object]) -> str:
    known = (Columns.USER_ID, Columns.ITEM_ID, Columns.TIMESTAMP)
    return ", ".join(f"{name}={row[name]!s}" for name in known if name in row)
