"""Search texts derived from items."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_prep.errors import UsageError
from towers.text.synthetic_queries import QueryConfig, synthetic_queries

ITEMS = pd.DataFrame(
    {
        "title": ["Acme Steel Kettle XQ7", "Acme Glass Kettle", "Steel Pan", "Pan"],
        "brand": ["Acme", "Acme", None, "Potts"],
        "category": ["home > kettles", "home > kettles", None, "home > pans"],
    }
)


def config(**changes: Any) -> QueryConfig:
    settings: dict[str, Any] = {
        "rate": 0.1,
        "alone": 0.0,
        "lower": True,
        "columns": ["category", "title"],
        "max_words": 2,
        "ways": {"columns": 1.0},
        "variants": 1,
        "typos": 0.0,
    }
    return QueryConfig(**settings | changes)


def texts(**changes: Any) -> list[list[str]]:
    codes, distinct = synthetic_queries(ITEMS, config(**changes), seed=0)
    assert len(set(distinct)) == len(distinct)
    return [[distinct[code] for code in of_item] for of_item in codes.tolist()]


def test_the_last_words_of_the_first_column_that_says_something() -> None:
    assert texts() == [["home kettles"], ["home kettles"], ["steel pan"], ["home pans"]]
    assert texts(max_words=1, columns=["colour", "title"]) == [["xq7"], ["kettle"], ["pan"], ["pan"]]


def test_neighbouring_words_of_the_title_from_any_place() -> None:
    found = set(texts(ways={"contiguous": 1.0}, variants=40)[0])
    words = ["acme", "steel", "kettle", "xq7"]
    assert found == set(words) | {" ".join(words[i : i + 2]) for i in range(3)}


def test_salient_words_are_rare_but_not_an_item_s_own() -> None:
    found = texts(ways={"salient": 1.0}, variants=30)
    assert set(found[0]) <= {"acme", "steel", "kettle", "acme steel", "steel kettle", "acme kettle"}
    assert not any("xq7" in text for text in found[0])
    assert set(found[2]) == {"steel", "steel pan"}


def test_brand_and_kind_or_else_the_columns() -> None:
    assert texts(ways={"brand": 1.0}, max_words=1) == [["acme kettles"], ["acme kettles"], ["pan"], ["potts pans"]]


def test_an_item_that_says_nothing_is_asked_for_by_nobody() -> None:
    items = pd.DataFrame({"title": ["!!", "Pan"]})
    codes, distinct = synthetic_queries(items, config(ways={"contiguous": 1.0}), seed=0)
    assert codes.tolist() == [[-1], [0]]
    assert distinct == ["pan"]


def test_a_seed_gives_the_same_again_and_typos_change_only_what_they_spoil() -> None:
    ways = {"contiguous": 1.0, "salient": 1.0}
    clean, spoilt = texts(ways=ways, variants=20), texts(ways=ways, variants=20, typos=0.5)
    assert clean == texts(ways=ways, variants=20)
    pairs = [pair for both in zip(clean, spoilt, strict=True) for pair in zip(*both, strict=True)]
    changed = np.mean([a != b for a, b in pairs])
    assert 0.25 < changed < 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": {"columns": 0.0}}, "queries.ways: all are 0"),
        ({"ways": {"colour": 1.0}}, "queries.ways: colour: there is columns, contiguous, salient, brand"),
        ({"typos": 1.5}, "queries.typos must be within 0…1"),
        ({"variants": 0}, "queries.variants must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(**changes)
