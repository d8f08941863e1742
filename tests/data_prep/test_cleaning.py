"""Each cleaning rule, what it leaves out, and what it counts."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from data_prep.cleaning import (
    BadRows,
    Core,
    DuplicateItems,
    Duplicates,
    LowRatings,
    Repeats,
    TimeSanity,
    UnknownItems,
    clean,
    core,
    require_few_bad_rows,
)
from data_prep.command import GateFailed, UsageError
from data_prep.tables import Tables

Make = Callable[..., Tables]

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=60)


def left(tables: Tables) -> list[str]:
    return (tables.events["user_id"] + tables.events["item_id"]).tolist()


def core_by_hand(pairs: list[tuple[int, int]], user_events: int, item_events: int) -> list[tuple[int, int]]:
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        kept = [(u, i) for u, i in pairs if users[u] >= user_events and items[i] >= item_events]
        if kept == pairs:
            return kept
        pairs = kept


def test_rows_without_user_item_or_time_are_bad(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), (None, "x", 2), ("b", None, 3), ("c", "x", 4)])
    tables.events.loc[3, "timestamp"] = pd.NaT
    found = BadRows().apply(tables)
    assert left(found) == ["ax"]
    assert found.bad_rows == {"no user id": 1, "no item id": 1, "no readable time": 1}
    assert found.rows_read == 4


def test_times_before_shops_and_after_now_are_bad(made_tables: Make) -> None:
    tables = made_tables([("a", "x", -20_000), ("b", "x", 0), ("c", "x", 100_000)])
    found = TimeSanity(earliest="1990-01-01", latest=None, tolerance_hours=24).apply(tables)
    assert left(found) == ["bx"]
    assert found.bad_rows == {"before 1990-01-01": 1, "in the future": 1}


def test_clocks_may_run_ahead_by_the_tolerance(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 0), ("b", "x", 1), ("c", "x", 2)])
    found = TimeSanity(earliest="1990-01-01", latest="2024-01-01", tolerance_hours=24).apply(tables)
    assert left(found) == ["ax", "bx"]


def test_a_date_that_is_none_is_named(made_tables: Make) -> None:
    with pytest.raises(UsageError, match=r"cleaning\.times\.earliest must be an ISO date, not 'long ago'"):
        TimeSanity(earliest="long ago", latest=None, tolerance_hours=0).apply(made_tables([("a", "x", 0)]))


def test_the_first_row_of_an_item_stays(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1)])
    items = pd.DataFrame({"item_id": ["x", "x", None], "title": ["first", "second", "none"]})
    found = DuplicateItems().apply(Tables(items, tables.events))
    assert found.items["title"].tolist() == ["first"]
    assert found.items_dropped == {"no item id": 1, "same item id as an earlier row": 1}


def test_events_of_unknown_items_go(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "y", 2)])
    found = UnknownItems().apply(Tables(tables.items[tables.items["item_id"] == "y"], tables.events))
    assert left(found) == ["ay"]
    assert found.dropped == {"item not in the item table": 1}


def test_low_ratings_go_and_missing_ones_stay(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "y", 2), ("a", "z", 3)])
    rated = Tables(tables.items, tables.events.assign(rating=[3.0, 4.0, None]))
    assert left(LowRatings(4).apply(rated)) == ["ay", "az"]
    assert left(LowRatings(4).apply(tables)) == ["ax", "ay", "az"]


def test_duplicates_share_user_item_type_and_time(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "x", 1), ("a", "x", 2), ("b", "x", 1), ("a", "x", 1)])
    tables.events.loc[4, "event"] = "view"
    found = Duplicates().apply(tables)
    assert left(found) == ["ax", "ax", "bx", "ax"]
    assert found.dropped == {"same user, item, type and time": 1}


def test_without_times_nothing_is_a_duplicate(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "x", 1)])
    timeless = Tables(tables.items, tables.events.assign(timestamp=pd.NaT), has_times=False)
    assert left(Duplicates().apply(timeless)) == ["ax", "ax"]


def test_the_earliest_event_with_an_item_stays_wherever_it_stands(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 5), ("a", "y", 3), ("a", "x", 1), ("b", "x", 9)])
    found = Repeats(per_event_type=False).apply(tables)
    assert found.events["timestamp"].dt.day.tolist() == [4, 2, 10]
    assert found.dropped == {"not the user's first event with the item": 1}


def test_a_first_view_and_a_first_purchase_may_both_stay(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "x", 2), ("a", "x", 3)])
    tables.events.loc[0, "event"] = "view"
    assert len(Repeats(per_event_type=True).apply(tables).events) == 2
    assert len(Repeats(per_event_type=False).apply(tables).events) == 1


def test_without_times_the_first_in_the_file_stays(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1), ("a", "y", 2), ("a", "x", 3)])
    nothing = pd.Series(pd.NaT, index=range(3), dtype="datetime64[us, UTC]")
    timeless = Tables(tables.items, tables.events.assign(timestamp=nothing), has_times=False)
    assert left(Repeats(per_event_type=False).apply(timeless)) == ["ax", "ay"]


@given(PAIRS)
def test_repeats_keep_each_pair_once_and_at_its_earliest(pairs: list[tuple[int, int]]) -> None:
    days = [(7 * number) % 11 for number in range(len(pairs))]
    events = pd.DataFrame(
        {
            "user_id": pd.Series([str(user) for user, _ in pairs], dtype="str"),
            "item_id": pd.Series([str(item) for _, item in pairs], dtype="str"),
            "timestamp": pd.to_datetime(pd.Series(days, dtype="int64"), unit="D", utc=True),
            "event": "view",
        }
    )
    kept = Repeats(per_event_type=False).apply(Tables(pd.DataFrame(), events)).events
    found = dict(zip(zip(kept["user_id"], kept["item_id"], strict=True), kept["timestamp"], strict=True))
    earliest = events.groupby(["user_id", "item_id"])["timestamp"].min().to_dict()
    assert len(kept) == len(found) and found == earliest


@given(PAIRS, st.integers(1, 4), st.integers(0, 4))
def test_the_core_is_that_of_a_plain_loop(pairs: list[tuple[int, int]], user_events: int, item_events: int) -> None:
    users, items = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    kept = core(users, items, user_events, item_events)
    found = [pair for pair, stays in zip(pairs, kept, strict=True) if stays]
    assert found == core_by_hand(pairs, user_events, item_events)


def test_the_core_counts_events_and_items(made_tables: Make) -> None:
    rows = [(user, item, 1) for user in "abc" for item in "xyz"]
    tables = made_tables([*rows, ("a", "rare", 1), ("once", "x", 1)])
    found = Core(user_events=2, item_events=2).apply(tables)
    assert left(found) == [user + item for user, item, _ in rows]
    assert found.dropped == {"outside the core (2 events a user, 2 an item)": 2}
    assert found.items["item_id"].tolist() == ["x", "y", "z"]
    assert found.items_dropped == {"fewer than 2 events": 1}


def test_items_nobody_has_touched_stay_when_zero_events_are_enough(made_tables: Make) -> None:
    tables = made_tables([("a", "x", 1)])
    items = pd.DataFrame({"item_id": ["x", "new"]})
    assert len(Core(1, 0).apply(Tables(items, tables.events)).items) == 2
    assert len(Core(1, 1).apply(Tables(items, tables.events)).items) == 1


def test_everything_read_is_kept_dropped_or_bad(made_tables: Make) -> None:
    rows = [(None, "x", 1), ("a", "x", 1), ("a", "x", 1), ("a", "y", 99_999), ("b", "y", 2)]
    tables = clean(made_tables(rows), [BadRows(), TimeSanity("1990-01-01", None, 24), Duplicates(), Core(1, 1)])
    assert tables.rows_read == 5
    assert len(tables.events) == 2


def test_too_many_bad_rows_are_refused_with_reasons_and_examples(made_tables: Make) -> None:
    tables = BadRows().apply(made_tables([("a", "x", 1), (None, "x", 2), ("b", None, 3), ("c", "x", 4)]))
    require_few_bad_rows(tables, max_bad_rows=0.5)
    with pytest.raises(GateFailed) as failure:
        require_few_bad_rows(tables, max_bad_rows=0.4)
    message = str(failure.value)
    assert "2 of 4 rows are bad (50.0%), more than max_bad_rows=0.4: 1 no user id, 1 no item id" in message
    assert "no item id: user_id=b, item_id=nan, timestamp=2024-01-04" in message
