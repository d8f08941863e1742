"""The item table of a bundle, and items as callers give them, checked and made into rows of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from data_prep.columns import Columns

POPULARITY = "popularity"
"""Column of the bundle's items: training events of each, for whoever reads the bundle."""

SHOWN = 8
"""Faults that an error names."""

MOST = 20
"""Columns of a catalogue that an error names."""

REQUIRED = (Columns.ITEM_ID, Columns.TEXT)


class UnfitItem(ValueError):
    """An item cannot be served.

    Args:
        message: why, with the item, the column and the cure.
        column: the column, "" where no single one is to blame.
    """

    def __init__(self, message: str, column: str = "") -> None:
        super().__init__(message)
        self.column = column


class UnfitItems(ValueError):
    """Some of the items given cannot be served.

    Args:
        faults: reason for each of them, by its position.
    """

    def __init__(self, faults: Mapping[int, UnfitItem]) -> None:
        super().__init__("; ".join(map(str, list(faults.values())[:SHOWN])))
        self.faults = faults


def checked_items(items: Sequence[Mapping[str, Any]], catalogue: pd.DataFrame) -> list[dict[str, Any]]:
    """Items with the columns of a catalogue, ready to be logged; see `checked_item`.

    Raises:
        UnfitItems: with all that are.
    """
    checked, faults = [], {}
    for number, item in enumerate(items):
        try:
            checked.append(checked_item(item, catalogue))
        except UnfitItem as fault:
            faults[number] = fault
    if faults:
        raise UnfitItems(faults)
    return checked


def checked_item(item: Mapping[str, Any], catalogue: pd.DataFrame) -> dict[str, Any]:
    """An item with the columns of a catalogue, ready to be logged.

    Args:
        item: `item_id` and `text`, both needed; any other column of the catalogue. Without a title the text is its
            title; other columns that are left out are unknown.
        catalogue: the bundle's item table.

    Raises:
        UnfitItem: a column is missing, unknown, or of the wrong kind; the message names item, column and cure.
    """
    for column in REQUIRED:
        value = item.get(column)
        if not isinstance(value, str) or not value.strip():
            raise UnfitItem(f"{name_of(item)}: {column} must be a text that is not empty, got {_shown(value)}", column)
    columns = [str(column) for column in catalogue.columns if column != POPULARITY]
    unknown = sorted(set(item) - set(columns))
    if unknown:
        message = f"{name_of(item)}: unknown columns {_shown(unknown)}; the catalogue has {', '.join(columns[:MOST])}"
        raise UnfitItem(message, unknown[0])
    checked = {column: _checked(item, column, catalogue[column].dtype) for column in columns}
    if not checked[Columns.TITLE]:
        checked[Columns.TITLE] = checked[Columns.TEXT]
    return checked


def as_table(items: Sequence[Mapping[str, Any]], catalogue: pd.DataFrame) -> pd.DataFrame:
    """Checked items as a table with the columns of a catalogue, in their order; nobody has had them yet.

    Args:
        items: n items, perhaps by another catalogue's columns: those it lacks here are left out, others are unknown.
        catalogue: the item table whose columns and types are taken.
    """
    table = pd.DataFrame(list(items)).reindex(columns=catalogue.columns)
    if POPULARITY in table:
        table[POPULARITY] = 0
    for column, kind in catalogue.dtypes.items():
        series = table[column]
        if isinstance(kind, pd.StringDtype) or (is_numeric_dtype(kind) and not series.isna().any()):
            table[column] = series.astype(kind)
    return table


def _checked(item: Mapping[str, Any], column: str, kind: Any) -> Any:
    """A value that JSON can hold; None where there is none."""
    value = item.get(column)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if is_bool_dtype(kind):
        return _of_kind(item, column, value, bool, "true or false")
    if is_numeric_dtype(kind):
        number = _of_kind(item, column, value, int | float | np.number, "a finite number")
        if not math.isfinite(number):
            raise UnfitItem(f"{name_of(item)}: {column} must be a finite number, got {_shown(value)}", column)
        return number.item() if isinstance(number, np.number) else number
    if isinstance(kind, pd.StringDtype):
        return _of_kind(item, column, value, str, "a text")
    return _plain(item, column, value)


def _of_kind(item: Mapping[str, Any], column: str, value: Any, kind: Any, expected: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UnfitItem(f"{name_of(item)}: {column} must be {expected}, got {_shown(value)}", column)
    return value


def _plain(item: Mapping[str, Any], column: str, value: Any) -> Any:
    """Columns of any other kind: texts, or vectors of finite numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(
        isinstance(number, int | float) and math.isfinite(number) for number in value
    ):
        return [float(number) for number in value]
    message = f"{name_of(item)}: {column} must be a text or a vector of finite numbers, got {_shown(value)}"
    raise UnfitItem(message, column)


def name_of(item: Mapping[str, Any]) -> str:
    """Name of an item in errors."""
    return f"item {str(item.get(Columns.ITEM_ID))[:80]!r}"


def _shown(value: Any) -> str:
    """A value as errors show it: shortened, for they travel where there is little room."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
