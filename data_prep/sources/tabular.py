"""Logs and judgements of one's own: CSV, TSV, JSON lines or Parquet, with mapped columns and an item-text template."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data_prep.columns import Column, Columns
from data_prep.errors import UsageError
from data_prep.judgements import judgement_table
from data_prep.parsing import ids, numbers, storable, times
from data_prep.reading import Layout, Reading, column_names, read_table
from data_prep.sources.column_map import ColumnMap
from data_prep.sources.item_table import ITEM_COLUMNS, columns_of_events, item_table, items_of_events
from data_prep.tables import Tables, event_table

ORDER = "order"
"""Our name for a column that gives the events' order where there are no times, or within equal ones."""

EVENT_COLUMNS = (
    Columns.USER_ID,
    Columns.ITEM_ID,
    Columns.TIMESTAMP,
    Columns.EVENT,
    Columns.QUERY,
    Columns.RATING,
    Columns.POSITION,
    Columns.PROPENSITY,
    ORDER,
)

JUDGEMENT_COLUMNS = (Columns.QUERY, Columns.ITEM_ID, Columns.GRADE)

UNMAPPED = "event type not in event_types"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tabular:
    """Event logs, and perhaps an item table, a user table and judgements, in files of any names and columns.

    Attributes:
        events: path or glob of the event log; the suffix tells the format, `.gz` and the like are unpacked. None for
            a catalogue with judged queries that nobody has visited yet.
        items: path or glob of the item table; None takes the columns of the event log.
        users: path or glob of a user table, or None.
        judgements: path or glob of judged pairs of a query and an item, or None.
        event_columns: our `EVENT_COLUMNS` -> theirs; None means ours, where the log has it.
        item_columns: our `ITEM_COLUMNS` -> theirs; all other columns of the item table are kept.
        user_columns: our `user_id` -> theirs.
        judgement_columns: our `JUDGEMENT_COLUMNS` -> theirs.
        text: template of the item text, over our names and theirs; None joins title, category and brand.
        default_event: the type of all events where the log has no column for it.
        event_types: their type -> ours; others are left out. None keeps all, in lower case.
        time_format: "auto", "iso", "s", "ms", "us", "ns" (epoch), or a strptime pattern.
        time_zone: of times that name none.
        delimiter: of delimited text; None looks at the first line.
        encoding: of text files.
        quotes: whether fields may be wrapped in double quotes.
        event_header: column names of an event log without a header line.
        item_header: column names of an item table without one.
    """

    events: str | None
    items: str | None
    users: str | None
    judgements: str | None
    event_columns: dict[str, str | None]
    item_columns: dict[str, str | None]
    user_columns: dict[str, str | None]
    judgement_columns: dict[str, str | None]
    text: str | None
    default_event: str
    event_types: dict[str, str] | None
    time_format: str
    time_zone: str
    delimiter: str | None
    encoding: str
    quotes: bool
    event_header: list[str] | None
    item_header: list[str] | None

    def load(self) -> Tables:
        items = self._own_items()  # before the log, so that a wrong mapping shows before a long read
        users, judged = self._users(), self._judgements()
        tables = self._catalogue(items) if self.events is None else self._log(self.events, items)
        others = [reading for reading in (items, users, judged) if reading is not None]
        tables = replace(
            tables,
            users=users.frame if users else None,
            judgements=judged.frame if judged else None,
            files=tables.files + tuple(path for reading in others for path in reading.files),
        )
        if self.events is None or not self.event_types:
            return tables
        return tables.without_events(tables.events[Columns.EVENT].isna().to_numpy(), UNMAPPED)

    def _catalogue(self, items: Reading | None) -> Tables:
        """A shop without events."""
        if items is None or self.judgements is None:
            raise UsageError(
                "source.events is null: a shop without events needs source.items and source.judgements, "
                "or there is nothing to find or to find it by"
            )
        nothing = pd.Series([], dtype="str")
        return Tables(items.frame, event_table(nothing, nothing, None, nothing))

    def _log(self, events: str, items: Reading | None) -> Tables:
        """The events, and the items as their own table or the log has them."""
        layout = self._layout(self.event_header)
        columns = self._map(events, layout, self.event_columns, EVENT_COLUMNS, "event_columns")
        columns.need(Columns.USER_ID)
        columns.need(Columns.ITEM_ID)
        described = self._items_in_log(columns)
        needed = set(columns.present().values()) | columns_of_events(described, self.text)
        reading = read_table(events, layout, needed if items is None else set(columns.present().values()))
        frame = _in_order(reading.frame, columns.find(ORDER))
        return Tables(
            items=items_of_events(frame, described, self.text) if items is None else items.frame,
            events=self._events(frame, columns),
            has_times=columns.find(Columns.TIMESTAMP) is not None,
            bad_rows={"not a row": reading.bad_rows},
            examples=reading.examples,
            files=reading.files,
        )

    def _own_items(self) -> Reading | None:
        """The item table, canonical, or None where there is none of its own."""
        if self.items is None:
            return None
        layout = self._layout(self.item_header)
        columns = self._map(self.items, layout, self.item_columns, ITEM_COLUMNS, "item_columns")
        columns.need(Columns.ITEM_ID)
        if self.text is None:
            columns.need(Columns.TITLE)
        reading = read_table(self.items, layout)
        _warn_of_no_rows(self.items, reading)
        return replace(reading, frame=item_table(reading.frame, columns, self.text))

    def _items_in_log(self, columns: ColumnMap) -> ColumnMap:
        """Where an event log describes its items itself."""
        names = self.item_columns if self.items is None else {}
        names = {**names, Columns.ITEM_ID: columns.need(Columns.ITEM_ID)}
        return ColumnMap(columns.available, names, ITEM_COLUMNS, "source.item_columns")

    def _users(self) -> Reading | None:
        if self.users is None:
            return None
        layout = self._layout(None)
        columns = self._map(self.users, layout, self.user_columns, (Columns.USER_ID,), "user_columns")
        theirs = columns.need(Columns.USER_ID)
        reading = read_table(self.users, layout)
        frame = reading.frame.apply(storable).rename(columns={theirs: Columns.USER_ID})
        frame = frame.assign(**{Columns.USER_ID: ids(frame[Columns.USER_ID])})
        frame = frame.dropna(subset=[Columns.USER_ID]).drop_duplicates(Columns.USER_ID, ignore_index=True)
        return replace(reading, frame=frame)

    def _judgements(self) -> Reading | None:
        if self.judgements is None:
            return None
        layout = self._layout(None)
        columns = self._map(self.judgements, layout, self.judgement_columns, JUDGEMENT_COLUMNS, "judgement_columns")
        theirs = [columns.need(name) for name in JUDGEMENT_COLUMNS]
        reading = read_table(self.judgements, layout, theirs)
        _warn_of_no_rows(self.judgements, reading)
        query, item_id, grade = (reading.frame[name] for name in theirs)
        return replace(reading, frame=judgement_table(query, item_id, grade))

    def _layout(self, header: list[str] | None) -> Layout:
        return Layout(delimiter=self.delimiter, encoding=self.encoding, header=header, quotes=self.quotes)

    def _map(
        self, pattern: str, layout: Layout, names: dict[str, str | None], known: tuple[str, ...], option: str
    ) -> ColumnMap:
        return ColumnMap(column_names(pattern, layout), names, known, f"source.{option}")

    def _events(self, frame: pd.DataFrame, columns: ColumnMap) -> pd.DataFrame:
        given = {ours: frame[theirs] for ours, theirs in columns.present().items()}
        optional: dict[str, Column] = {}
        if Columns.QUERY in given:
            optional[Columns.QUERY] = given[Columns.QUERY].astype("str")
        for name in (Columns.RATING, Columns.PROPENSITY):
            if name in given:
                optional[name] = numbers(given[name])
        if Columns.POSITION in given:
            optional[Columns.POSITION] = numbers(given[Columns.POSITION]).round().astype("Int64")
        timestamp = given.get(Columns.TIMESTAMP)
        if timestamp is not None:
            timestamp = times(timestamp, self.time_format, self.time_zone)
        return event_table(
            given[Columns.USER_ID], given[Columns.ITEM_ID], timestamp, self._event_types(given), **optional
        )

    def _event_types(self, given: dict[str, Column]) -> Column | str:
        if Columns.EVENT not in given:
            return self.default_event
        theirs = given[Columns.EVENT].astype("str").str.strip()
        if self.event_types:
            return theirs.map(self.event_types).astype("str")
        return theirs.str.lower().fillna(self.default_event)


def _warn_of_no_rows(pattern: str, reading: Reading) -> None:
    if reading.bad_rows:
        log.warning("%s: left out %d lines that are no rows", pattern, reading.bad_rows)


def _in_order(frame: pd.DataFrame, order: str | None) -> pd.DataFrame:
    """Rows by the column that gives their order, ties as they were; unchanged where there is none."""
    if order is None:
        return frame
    positions = np.argsort(numbers(frame[order]).to_numpy(), kind="stable")
    return frame.take(positions).reset_index(drop=True)
