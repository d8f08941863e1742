"""One user a line, `user item item item`, as the sequential-recommendation papers publish their data."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.columns import Columns
from data_prep.reading import Layout, column_names, find_files, open_text, read_table
from data_prep.sources.column_map import ColumnMap
from data_prep.sources.item_table import ITEM_COLUMNS, item_table, items_from_ids
from data_prep.tables import Tables, event_table


@dataclass(frozen=True)
class Sequences:
    """Histories in order, without times: split=leave_one_out is the only protocol they allow.

    Attributes:
        path: path or glob of the text file, plain or packed.
        separator: between the ids of a line; None is any white space.
        first_is_user: whether the first id of a line is the user's; else users go by their line's number, from 1.
        items: path or glob of an item table, or None: items then go by their ids.
        item_columns: our `ITEM_COLUMNS` -> those of the item table; None means ours, where it has it.
        text: template of the item text; None joins title, category and brand.
    """

    path: str
    separator: str | None
    first_is_user: bool
    items: str | None
    item_columns: dict[str, str | None]
    text: str | None

    def load(self) -> Tables:
        files = find_files(self.path)
        users: list[str] = []
        items: list[str] = []
        too_short = 0
        number = 0
        for path in files:
            with open_text(path) as file:
                for line in file:
                    parts = [part.strip() for part in line.strip().split(self.separator) if part.strip()]
                    if not parts:
                        continue
                    number += 1
                    user = parts.pop(0) if self.first_is_user else str(number)
                    too_short += not parts
                    users += [user] * len(parts)
                    items += parts
        user_ids = pd.Series(users, dtype="str")
        item_ids = pd.Series(items, dtype="str")
        table, item_files = self._items(item_ids)
        return Tables(
            items=table,
            events=event_table(user_ids, item_ids, None, "interaction"),
            has_times=False,
            bad_rows={"a line without items": too_short},
            files=files + item_files,
        )

    def _items(self, item_ids: "pd.Series[str]") -> tuple[pd.DataFrame, tuple[Path, ...]]:
        if self.items is None:
            return items_from_ids(item_ids), ()
        layout = Layout()
        columns = ColumnMap(column_names(self.items, layout), self.item_columns, ITEM_COLUMNS, "source.item_columns")
        columns.need(Columns.ITEM_ID)
        reading = read_table(self.items, layout)
        return item_table(reading.frame, columns, self.text), reading.files
