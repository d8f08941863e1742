"""Schemas of the canonical tables; a wrong one is refused with column, rule and first offending rows."""

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from data_prep.columns import Columns, Split
from data_prep.errors import GateFailed
from data_prep.tables import among

SHOWN = 5
"""Offending rows named in a message."""

FILLED = pa.Check(lambda values: values.str.strip() != "", error="not empty")

UNIQUE = pa.Check(lambda values: ~values.duplicated(), error="unique")

PARTS = pa.Check.isin([int(part) for part in Split], error="0 (train), 1 (valid) or 2 (test)")

ITEMS = pa.DataFrameSchema(
    {
        Columns.ITEM_ID: pa.Column(str, [FILLED, UNIQUE]),
        Columns.TITLE: pa.Column(str, FILLED),
        Columns.TEXT: pa.Column(str, FILLED),
        Columns.CATEGORY: pa.Column(str, nullable=True, required=False),
        Columns.BRAND: pa.Column(str, nullable=True, required=False),
        Columns.PRICE: pa.Column(float, pa.Check.ge(0), nullable=True, required=False),
    }
)


def events_schema(items: pd.DataFrame, has_times: bool) -> pa.DataFrameSchema:
    """The rules for events of these items."""
    split_columns = {Columns.SPLIT_LEAVE_ONE_OUT: pa.Column("int8", PARTS)}
    if has_times:
        split_columns[Columns.SPLIT_TEMPORAL] = pa.Column("int8", PARTS)
    return pa.DataFrameSchema(
        {
            Columns.USER_ID: pa.Column(str, FILLED),
            Columns.ITEM_ID: pa.Column(str, _known(items)),
            Columns.TIMESTAMP: pa.Column(pd.DatetimeTZDtype("us", "UTC"), nullable=not has_times),
            Columns.EVENT: pa.Column("category"),
            Columns.QUERY: pa.Column(str, nullable=True, required=False),
            Columns.RATING: pa.Column(float, nullable=True, required=False),
            Columns.POSITION: pa.Column("Int64", pa.Check.ge(0), nullable=True, required=False),
            Columns.PROPENSITY: pa.Column(
                float, pa.Check.in_range(0, 1, include_min=False), nullable=True, required=False
            ),
            **split_columns,
        }
    )


USERS = pa.DataFrameSchema({Columns.USER_ID: pa.Column(str, [FILLED, UNIQUE])})


def judgements_schema(items: pd.DataFrame) -> pa.DataFrameSchema:
    """The rules for judgements of these items."""
    return pa.DataFrameSchema(
        {
            Columns.QUERY: pa.Column(str, FILLED),
            Columns.ITEM_ID: pa.Column(str, _known(items)),
            Columns.GRADE: pa.Column("int64", pa.Check.ge(0)),
        },
        unique=[Columns.QUERY, Columns.ITEM_ID],
    )


def validate(
    items: pd.DataFrame,
    events: pd.DataFrame,
    users: pd.DataFrame | None,
    has_times: bool,
    judgements: pd.DataFrame | None = None,
) -> None:
    """Check the tables that are about to be written.

    Raises:
        GateFailed: one of them breaks a rule.
    """
    _check("items", items, ITEMS)
    _check("events", events, events_schema(items, has_times))
    if users is not None:
        _check("users", users, USERS)
    if judgements is not None:
        _check("judgements", judgements, judgements_schema(items))


def _known(items: pd.DataFrame) -> pa.Check:
    return pa.Check(
        lambda values: pd.Series(among(values, items[Columns.ITEM_ID]), values.index), error="in the item table"
    )


def _check(name: str, frame: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        breaches = [
            _breach(name, str(column), str(rule), rows)
            for (column, rule), rows in cases.groupby(["column", "check"], sort=False, dropna=False)
        ]
        raise GateFailed("; ".join(breaches)) from error


def _breach(table: str, column: str, rule: str, cases: pd.DataFrame) -> str:
    rows = ", ".join(
        f"row {case['index']:.0f}: {case['failure_case']!r}" if pd.notna(case["index"]) else repr(case["failure_case"])
        for case in cases.head(SHOWN).to_dict("records")
    )
    return f"{table}.{column} must be '{rule}', {len(cases):,} times it is not: {rows}"
