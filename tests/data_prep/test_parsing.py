"""Ids, times and numbers as people write them."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from data_prep.command import UsageError
from data_prep.parsing import ids, numbers, times

NOON = pd.Timestamp("2024-03-01 12:00", tz="UTC")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1, 22]), ["1", "22"]),
        (pd.Series([12346.0, None]), ["12346", None]),
        (pd.Series([12346, None], dtype="Int64"), ["12346", None]),
        (pd.Series([" a ", "", None, "85123A"]), ["a", None, None, "85123A"]),
        (pd.Series(["x", None, 7], dtype=object), ["x", None, "7"]),
        (pd.Series([0.5]), ["0.5"]),
        (pd.Series(["13085.0", None, "7.0"]), ["13085", None, "7"]),
        (pd.Series(["v1.0", "7.0"]), ["v1.0", "7.0"]),
    ],
)
def test_ids_become_trimmed_text_without_decimals(values: pd.Series, expected: list[str | None]) -> None:
    assert ids(values).astype(object).where(ids(values).notna(), None).tolist() == expected


def test_numbers_come_out_of_prices_and_nothing_else() -> None:
    found = numbers(pd.Series(["$1,299.50", "3", "-2.5", "free", None, "1e3"]))
    assert found.fillna(-99).tolist() == [1299.5, 3.0, -2.5, -99, -99, 1000.0]


@pytest.mark.parametrize(
    "value",
    [
        "2024-03-01T12:00:00Z",
        "2024-03-01 12:00:00",
        "2024-03-01 12:00:00.000",
        "2024-03-01 12:00:00 UTC",
        "2024-03-01T13:00:00+01:00",
        "1709294400",
        "1709294400.0",
        1709294400,
        1709294400.0,
        1709294400000,
        1709294400000000,
        1709294400000000000,
        datetime(2024, 3, 1, 12),
        datetime(2024, 3, 1, 12, tzinfo=UTC),
    ],
)
def test_every_usual_way_to_write_a_time_is_found_out(value: object) -> None:
    found = times(pd.Series([value, value]))
    assert found.tolist() == [NOON, NOON]
    assert str(found.dtype) == "datetime64[us, UTC]"


def test_compact_dates_are_dates_and_not_seconds_of_1970() -> None:
    assert times(pd.Series(["20240301", "20241231"])).dt.strftime("%m-%d").tolist() == ["03-01", "12-31"]


def test_naive_and_zoned_times_may_be_mixed() -> None:
    found = times(pd.Series(["2024-03-01 13:00", "2024-03-01T12:00:00Z"]), zone="Europe/Berlin")
    assert found.tolist() == [NOON, NOON]


def test_what_is_no_time_is_null_and_the_rest_is_kept() -> None:
    found = times(pd.Series(["soon", "2024-03-01 12:00:00", None, ""]))
    assert found.isna().tolist() == [True, False, True, True]
    assert times(pd.Series(["x", "1709294400", "1709294400"]))[1] == NOON
    assert times(pd.Series([float("inf"), 1709294400.0, 1709294400.0]))[1] == NOON


def test_a_pattern_or_a_unit_may_be_given() -> None:
    assert times(pd.Series(["01.03.2024 12:00"]), "%d.%m.%Y %H:%M")[0] == NOON
    assert times(pd.Series(["1709294400000"]), "ms")[0] == NOON
    assert times(pd.Series(["1709294400", "?"]), "s").isna().tolist() == [False, True]


@pytest.mark.parametrize(("pattern", "zone", "named"), [("%Q", "UTC", "%Q"), ("iso", "Mars/Base", "Mars/Base")])
def test_a_pattern_or_a_zone_that_does_not_exist_is_named(pattern: str, zone: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        times(pd.Series(["2024-03-01"]), pattern, zone)


def test_the_hour_a_clock_change_skips_or_repeats_is_no_error() -> None:
    found = times(pd.Series(["2024-03-31 02:30", "2024-10-27 02:30"]), zone="Europe/Berlin")
    assert found.notna().all()


@given(st.lists(st.integers(min_value=700_000_000, max_value=4_000_000_000), min_size=1, max_size=20))
def test_seconds_and_their_iso_texts_give_the_same_times(seconds: list[int]) -> None:
    texts = pd.Series([datetime.fromtimestamp(second, UTC).isoformat() for second in seconds])
    assert times(pd.Series(seconds)).tolist() == times(texts).tolist()
