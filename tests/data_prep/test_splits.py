"""A cut in time and leave-one-out, against plain loops."""

from collections import defaultdict

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from data_prep.columns import Split
from data_prep.command import GateFailed, UsageError
from data_prep.dataset import sort_events
from data_prep.splits import SplitConfig, cuts, leave_one_out, split, temporal

EVENTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=80)

HALVES = SplitConfig("temporal", 0.1, 0.1)


def events(rows: list[tuple[int, int]]) -> pd.DataFrame:
    times = pd.to_datetime(pd.Series([day for _, day in rows], dtype="int64"), unit="D", utc=True)
    return pd.DataFrame(
        {
            "user_id": pd.Series([f"u{user}" for user, _ in rows], dtype="str"),
            "item_id": pd.Series([str(number) for number in range(len(rows))], dtype="str"),
            "timestamp": times.astype("datetime64[us, UTC]"),
        }
    )


@given(EVENTS)
def test_leave_one_out_is_that_of_a_plain_loop(rows: list[tuple[int, int]]) -> None:
    table = sort_events(events(rows))
    histories = defaultdict(list)
    for number, user in enumerate(table["user_id"]):
        histories[user].append(number)
    expected = [Split.TRAIN] * len(rows)
    for history in histories.values():
        if len(history) >= 3:
            expected[history[-2]], expected[history[-1]] = Split.VALID, Split.TEST
    assert leave_one_out(table["user_id"]).tolist() == expected


@given(EVENTS, st.floats(0.05, 0.45), st.floats(0.05, 0.45))
def test_no_training_event_is_later_than_any_test_event_and_no_instant_is_torn_apart(
    rows: list[tuple[int, int]], valid: float, test: float
) -> None:
    times = events(rows)["timestamp"]
    parts = pd.Series(temporal(times, *cuts(times, valid, test)))
    assert parts[times.argsort(kind="stable").to_numpy()].is_monotonic_increasing
    assert (parts.groupby(times).nunique() == 1).all()
    assert (parts == Split.TEST).any()


@given(st.lists(st.integers(0, 10**6), min_size=40, max_size=200, unique=True))
def test_the_parts_of_the_temporal_split_have_the_sizes_asked_for(minutes: list[int]) -> None:
    times = pd.to_datetime(pd.Series(minutes), unit="m", utc=True)
    parts = temporal(times, *cuts(times, 0.2, 0.1))
    assert abs((parts == Split.VALID).sum() - 0.2 * len(minutes)) <= 1
    assert abs((parts == Split.TEST).sum() - 0.1 * len(minutes)) <= 1


@given(EVENTS)
def test_events_are_sorted_by_user_then_time_with_ties_in_source_order(rows: list[tuple[int, int]]) -> None:
    found = sort_events(events(rows))["item_id"].astype(int).tolist()
    assert found == sorted(range(len(rows)), key=lambda number: (f"u{rows[number][0]}", rows[number][1], number))


def test_a_split_by_hand() -> None:
    table, outcome = split(
        sort_events(events([(0, day) for day in range(10)])), True, SplitConfig("temporal", 0.2, 0.3)
    )
    assert table["split_temporal"].tolist() == [0] * 5 + [1] * 2 + [2] * 3
    assert table["split_leave_one_out"].tolist() == [0] * 8 + [1, 2]
    assert outcome.valid_from == "1970-01-06T00:00:00+00:00"
    assert outcome.test_from == "1970-01-08T00:00:00+00:00"
    assert outcome.events["temporal"] == {"train": 5, "valid": 2, "test": 3}
    assert outcome.column == "split_temporal"


def test_without_times_there_is_no_temporal_column() -> None:
    table, outcome = split(events([(0, 0)] * 4), False, SplitConfig("leave_one_out", 0.1, 0.1))
    assert "split_temporal" not in table.columns
    assert outcome.valid_from is None
    with pytest.raises(UsageError, match="use split=leave_one_out"):
        HALVES.check_times(has_times=False)


@pytest.mark.parametrize(
    "config",
    [
        SplitConfig("by_moon", 0.1, 0.1),
        SplitConfig("temporal", 0, 0.1),
        SplitConfig("temporal", 0.1, 1.5),
        SplitConfig("temporal", 0.5, 0.5),
    ],
)
def test_a_split_that_makes_no_sense_is_a_usage_error(config: SplitConfig) -> None:
    with pytest.raises(UsageError, match=r"split\."):
        config.check()


def test_a_split_with_an_empty_part_is_refused() -> None:
    with pytest.raises(GateFailed, match="leaves train and valid empty"):
        split(events([(0, 1)] * 10), True, HALVES)
    with pytest.raises(GateFailed, match="no user has three"):
        split(events([(0, 1), (1, 2)]), True, SplitConfig("leave_one_out", 0.1, 0.1))
