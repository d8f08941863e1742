"""Filters leave the rows that a plain loop over the items leaves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from index.search.filters import Attributes, Filter

CATEGORIES = ["tea", "coffee", "mugs", None]
BRANDS = ["a", "b", None]


@pytest.fixture(scope="module")
def items():
    rng = np.random.default_rng(0)
    count = 300
    return pd.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(count)],
            "category": rng.choice(CATEGORIES, count),
            "brand": rng.choice(BRANDS, count),
            "price": np.where(rng.random(count) < 0.1, np.nan, rng.integers(0, 20, count) / 2),
            "in_stock": rng.random(count) < 0.8,
        }
    ).astype({"category": "str", "brand": "str"})


@pytest.fixture(scope="module")
def attributes(items):
    return Attributes(items, {item_id: row for row, item_id in enumerate(items["item_id"])})


def satisfies(item, wanted):
    low, high = wanted.price_range
    priced = wanted.min_price is not None or wanted.max_price is not None
    return (
        (wanted.categories is None or item.category in wanted.categories)
        and (wanted.brands is None or item.brand in wanted.brands)
        and (not priced or low <= item.price <= high)
        and (wanted.in_stock is None or item.in_stock == wanted.in_stock)
        and (wanted.allow is None or item.item_id in wanted.allow)
        and (wanted.deny is None or item.item_id not in wanted.deny)
    )


def some_of(values):
    return st.none() | st.frozensets(st.sampled_from(values), max_size=3)


IDS = [f"i{row}" for row in range(40)] + ["unknown"]
PRICES = st.none() | st.integers(0, 20).map(lambda half: half / 2)


@given(
    categories=some_of(["tea", "coffee", "mugs", "unknown"]),
    brands=some_of(["a", "b", "c"]),
    prices=st.tuples(PRICES, PRICES).filter(lambda pair: None in pair or pair[0] <= pair[1]),
    in_stock=st.none() | st.booleans(),
    allow=st.none() | st.frozensets(st.sampled_from(IDS), max_size=30),
    deny=st.none() | st.frozensets(st.sampled_from(IDS), max_size=30),
)
@settings(max_examples=150, deadline=None)
def test_the_rows_are_those_of_a_plain_loop(items, attributes, categories, brands, prices, in_stock, allow, deny):
    wanted = Filter(categories, brands, *prices, in_stock, allow, deny)
    expected = [row for row, item in enumerate(items.itertuples()) if satisfies(item, wanted)]
    assert attributes.rows(wanted).tolist() == expected


def test_an_empty_list_leaves_nothing_and_no_condition_leaves_all(items, attributes):
    assert attributes.rows(Filter(categories=frozenset())).tolist() == []
    assert attributes.rows(Filter(allow=frozenset())).tolist() == []
    assert attributes.rows(Filter()).tolist() == list(range(len(items)))


def test_a_column_that_is_not_there_is_named(items):
    attributes = Attributes(items.drop(columns="in_stock"), {})
    with pytest.raises(ValueError, match="no column in_stock; prepare the data with it"):
        attributes.rows(Filter(in_stock=True))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [((3.0, 2.0), "min_price 3 is above max_price 2"), ((float("nan"), None), "must be numbers, not NaN")],
)
def test_bounds_that_make_no_sense_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        Filter(min_price=bounds[0], max_price=bounds[1])
