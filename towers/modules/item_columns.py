"""Columns of the items table as item features read them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Column
from data_prep.errors import UsageError


def column_of(items: pd.DataFrame, column: str, reader: str) -> Column:
    """A column of the items table, for a reader whom the message names.

    Raises:
        UsageError: it is not there.
    """
    if column not in items:
        raise UsageError(f"{reader}: the items table has no column {column!r}; it has {sorted(items.columns)}")
    return items[column]


def names_of(column: Column) -> list[str]:
    """Category names, n; "" where there is none."""
    return [_name(value) for value in column.astype(object)]


def _name(value: Any) -> str:
    if absent(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a missing value anywhere turns a column of whole numbers into one of floats
    return str(value).strip()


def absent(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def log_prices(column: Column) -> NDArray[np.float64]:
    """log(1 + price), [n]; NaN where there is no price that makes sense."""
    prices = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    sound = np.isfinite(prices) & (prices >= 0)
    return np.where(sound, np.log1p(np.where(sound, prices, 0)), np.nan)
