"""Wrong tables are refused with the column, the rule and the first offending rows."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from data_prep.command import GateFailed
from data_prep.validation import validate


def shop() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    items = pd.DataFrame({"item_id": ["x", "y"], "title": ["X", "Y"], "text": ["X", "Y"], "price": [1.0, None]})
    events = pd.DataFrame(
        {
            "user_id": ["a", "a"],
            "item_id": ["x", "y"],
            "timestamp": pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True)).astype(
                "datetime64[us, UTC]"
            ),
            "event": pd.Categorical(["view", "view"]),
            "split_leave_one_out": pd.Series([0, 0], dtype="int8"),
            "split_temporal": pd.Series([0, 2], dtype="int8"),
        }
    )
    return items, events, pd.DataFrame({"user_id": ["a"], "age": [30]})


def test_canonical_tables_pass() -> None:
    items, events, users = shop()
    validate(items, events, users, has_times=True)
    validate(items, events, None, has_times=True)
    validate(
        items,
        events.drop(columns="split_temporal").assign(timestamp=events["timestamp"].where([True, False])),
        None,
        has_times=False,
    )


@pytest.mark.parametrize(
    ("table", "column", "values", "message"),
    [
        ("items", "item_id", ["x", "x"], r"items\.item_id must be 'unique', 1 times it is not: row 1: 'x'"),
        ("items", "text", ["X", " "], r"items\.text must be 'not empty', 1 times it is not: row 1: ' '"),
        ("items", "price", [-1.0, 1.0], r"items\.price must be '.*0\)', 1 times it is not: row 0: -1.0"),
        ("items", "title", ["X", None], r"items\.title must be 'not_nullable'"),
        ("events", "item_id", ["x", "z"], r"events\.item_id must be 'in the item table', .*row 1: 'z'"),
        ("events", "propensity", [0.0, 1.0], r"events\.propensity must be"),
        ("events", "timestamp", ["now", "then"], r"events\.timestamp must be"),
        ("events", "split_temporal", pd.Series([0, 3], dtype="int8"), r"events\.split_temporal must be '0 \(train\)"),
        ("users", "user_id", [""], r"users\.user_id must be 'not empty'"),
    ],
)
def test_a_broken_rule_is_named_with_its_rows(table: str, column: str, values: Any, message: str) -> None:
    tables = dict(zip(("items", "events", "users"), shop(), strict=True))
    tables[table] = tables[table].assign(**{column: values})
    with pytest.raises(GateFailed, match=message):
        validate(tables["items"], tables["events"], tables["users"], has_times=True)


@pytest.mark.parametrize("drop", [lambda t: t.drop(columns="item_id"), lambda t: t.drop(columns="timestamp")])
def test_a_missing_column_is_named(drop: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    items, events, _ = shop()
    with pytest.raises(GateFailed, match="column_in_dataframe"):
        validate(items, drop(events), None, has_times=True)
