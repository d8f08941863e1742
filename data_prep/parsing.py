"""From the values people write into logs to ids, times and numbers; an unreadable value becomes null."""

import json
from collections.abc import Mapping
from numbers import Real

import numpy as np
import pandas as pd

from data_prep.columns import Column
from data_prep.errors import UsageError

EPOCH_UNITS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
"""Nanoseconds in one unit of an epoch time."""

UTC_TIME = pd.DatetimeTZDtype("us", "UTC")


def ids(values: Column) -> Column:
    """Identifiers as text: no spaces around them, no `.0` after whole numbers, null where there is none."""
    if pd.api.types.is_float_dtype(values.dtype):
        whole = values.round().astype("Int64")
        values = whole.astype("str").where((values == whole).fillna(False), values.astype("str"))
    text = values.astype("str").str.strip()
    text = text.where(~text.isin(["", "<NA>", "nan", "None"]))
    exported_as_floats = (text.isna() | text.str.fullmatch(r"\d+\.0")).all()
    return text.str.removesuffix(".0") if exported_as_floats else text


def storable(values: Column) -> Column:
    """A column that Parquet can hold: vectors of one width stay, other lists and mixed values become text."""
    values = values.infer_objects()
    if values.dtype != object or _are_vectors(values.dropna()):
        return values
    return values.map(_text, na_action="ignore").astype("str")


def numbers(values: Column) -> Column:
    """Numbers as float64, out of prices such as "$1,299.00" too; NaN where there is none."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.astype("float64")
    text = values.astype("str").str.replace(",", "").str.extract(r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")[0]
    return pd.to_numeric(text, errors="coerce").astype("float64")


def times(values: Column, time_format: str = "auto", zone: str = "UTC") -> Column:
    """Times in UTC, microsecond resolution; NaT where a value is none.

    Args:
        values: ISO texts, epoch numbers (or texts of them), compact dates (20241231), or datetimes.
        time_format: "auto"; "iso"; an epoch unit, "s", "ms", "us" or "ns"; or a strptime pattern.
        zone: the zone of times that name none.

    Raises:
        UsageError: the zone or the format does not exist.
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return _utc(values)
    if pd.api.types.is_datetime64_dtype(values.dtype):
        return _in_zone(values, zone)
    if time_format in EPOCH_UNITS:
        return _epoch(pd.to_numeric(values, errors="coerce"), time_format)
    if time_format not in ("auto", "iso"):
        return _in_zone(_formatted(values, time_format), zone)
    if time_format == "auto":
        as_numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        if as_numbers.notna().sum() * 2 > values.notna().sum():
            return _numeric(as_numbers, zone)
    return _iso(values, zone)


def _numeric(values: Column, zone: str) -> Column:
    """Epoch times in the unit their size gives away (of 1990 to 2100), or dates such as 20241231."""
    middle = float(values.abs().median())
    if 19_000_101 <= middle <= 21_001_231:
        return _in_zone(_formatted(values.astype("Int64").astype("str"), "%Y%m%d"), zone)
    unit = next(unit for unit, bound in [("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf)] if middle < bound)
    return _epoch(values, unit)


def _epoch(values: Column, unit: str) -> Column:
    microseconds = values.astype("float64") * (EPOCH_UNITS[unit] / 1e3)
    readable = np.isfinite(microseconds) & (microseconds.abs() < 2**62)
    whole = microseconds.where(readable, 0).round().astype("int64")
    return _utc(pd.to_datetime(whole, unit="us", utc=True)).where(readable)


def _formatted(values: Column, pattern: str) -> Column:
    try:
        result: Column = pd.to_datetime(values.astype("str"), format=pattern, errors="coerce")
        return result
    except ValueError as error:
        raise UsageError(
            f"time format '{pattern}' is not one of auto, iso, s, ms, us, ns or strptime's: {error}"
        ) from error


def _iso(values: Column, zone: str) -> Column:
    text = values.astype("str").str.strip().str.replace(r"\s*UTC$", "Z", regex=True)
    zoned = text.str.contains(r"(?:[Zz]|[+-]\d{2}:?\d{2})$", regex=True).fillna(False).astype(bool)
    if not zoned.any():
        return _in_zone(pd.to_datetime(text, format="ISO8601", errors="coerce"), zone)
    result = _utc(pd.to_datetime(text.where(zoned), format="ISO8601", errors="coerce", utc=True))
    naive = _in_zone(pd.to_datetime(text.where(~zoned), format="ISO8601", errors="coerce"), zone)
    return result.where(zoned, naive)


def _in_zone(values: Column, zone: str) -> Column:
    """Naive times as UTC; an hour a clock change skips or repeats takes one reading, never an error."""
    if values.dt.tz is not None:
        return _utc(values)
    try:
        localised = values.dt.tz_localize(zone, ambiguous=np.ones(len(values), bool), nonexistent="shift_forward")
    except (KeyError, ValueError) as error:
        raise UsageError(f"time zone '{zone}' does not exist; use one such as Europe/Berlin") from error
    return _utc(localised.dt.tz_convert("UTC"))


def _utc(values: Column) -> Column:
    result: Column = values.astype(UTC_TIME)
    return result


def _are_vectors(values: Column) -> bool:
    """Whether these are lists of numbers, all of one length: image or audio embeddings."""
    widths = {len(value) if isinstance(value, list | np.ndarray) else -1 for value in values}
    return len(widths) == 1 and min(widths) > 0 and all(isinstance(part, Real) for value in values for part in value)


def _text(value: object) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)
