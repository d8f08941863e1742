"""An item table out of a file of the user's own."""

import pandas as pd

from data_prep.columns import Column, Columns
from data_prep.parsing import ids, numbers, storable
from data_prep.sources.column_map import ColumnMap
from data_prep.text import fields, with_texts

ITEM_COLUMNS = (Columns.ITEM_ID, Columns.TITLE, Columns.CATEGORY, Columns.BRAND, Columns.PRICE)


def item_table(frame: pd.DataFrame, columns: ColumnMap, text: str | None) -> pd.DataFrame:
    """Canonical items out of a raw table; columns that mean nothing to us are kept as they are.

    Args:
        frame: raw rows, shape [N, columns].
        columns: for our `ITEM_COLUMNS`.
        text: template over our names and theirs; None joins title, category and brand.
    """
    columns.need(Columns.ITEM_ID)
    theirs = columns.present()
    items = frame.drop(columns=[name for name in (*theirs.values(), Columns.TEXT) if name in frame.columns])
    items = items.apply(storable)
    for ours, name in theirs.items():
        items[ours] = _typed(ours, frame[name])
    named_in_text = {name for _, name in fields(text or "") if name is not None and name not in items.columns}
    extra = {name: frame[name] for name in named_in_text if name in frame.columns}
    return with_texts(items.assign(**extra), text).drop(columns=list(extra))


def items_of_events(frame: pd.DataFrame, columns: ColumnMap, text: str | None) -> pd.DataFrame:
    """Items out of the columns of an event log: from each item's latest rows.

    Args:
        frame: raw event rows, shape [N, columns].
        columns: for our `ITEM_COLUMNS`, over the event log's columns.
        text: as for `item_table`.
    """
    kept = [name for name in frame.columns if name in columns_of_events(columns, text)]
    by_item = frame[kept].groupby(columns.need(Columns.ITEM_ID), sort=False, as_index=False)
    return item_table(by_item.last(), columns, text)


def columns_of_events(columns: ColumnMap, text: str | None) -> set[str]:
    """The columns of an event log that describe its items."""
    return set(columns.present().values()) | {name for _, name in fields(text or "") if name is not None}


def items_from_ids(item_ids: Column) -> pd.DataFrame:
    """Items of which nothing is known but that they occur in the events."""
    distinct = ids(item_ids).dropna().drop_duplicates().reset_index(drop=True)
    return with_texts(pd.DataFrame({Columns.ITEM_ID: distinct}), None)


def _typed(ours: str, values: Column) -> Column:
    if ours == Columns.PRICE:
        prices = numbers(values)
        return prices.where(prices >= 0)
    return ids(values) if ours == Columns.ITEM_ID else storable(values).astype("str")
