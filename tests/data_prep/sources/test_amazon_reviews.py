"""The public dumps of three editions."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_prep.command import GateFailed
from data_prep.sources.amazon_reviews import AmazonReviews
from data_prep.tables import Tables

Write = Callable[[str, str | bytes], Path]

REVIEWS_2014 = [
    {
        "reviewerID": "A1",
        "asin": "B01",
        "reviewerName": "Joe",
        "helpful": [0, 0],
        "reviewText": "fine",
        "overall": 5.0,
        "summary": "ok",
        "unixReviewTime": 1391040000,
        "reviewTime": "01 30, 2014",
    },
    {"reviewerID": "A1", "asin": "B02", "overall": 3.0, "unixReviewTime": 1391126400},
    {"reviewerID": "A2", "asin": "B03", "overall": 1.0, "unixReviewTime": 1391126400},
]

METADATA_2014 = [
    {
        "asin": "B01",
        "title": "Nail &amp; Hair Oil",
        "categories": [["Beauty", "Hair Care"], ["Beauty", "Nails"]],
        "brand": "OPI",
        "price": 3.5,
        "related": {"also_bought": ["B02"]},
    },
    {"asin": "B02", "categories": [["Beauty"]], "description": "It's oil"},
    {"asin": "B99", "title": "Nobody bought it", "categories": [["Beauty"]]},
]


def json_lines(values: Sequence[object]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def literals(values: Sequence[object]) -> bytes:
    return gzip.compress("".join(f"{value!r}\n" for value in values).encode())


def load(reviews: Path, metadata: Path | None) -> Tables:
    return AmazonReviews(str(reviews), str(metadata) if metadata else None, text="{title}. {category}").load()


def facts(items: pd.DataFrame) -> list[list[Any]]:
    return items[["item_id", "title", "text"]].to_numpy().tolist()


def test_2014_with_gzipped_python_literals_for_metadata(write: Write) -> None:
    tables = load(
        write("reviews_Beauty_5.json.gz", gzip.compress(json_lines(REVIEWS_2014).encode())),
        write("meta_Beauty.json.gz", literals(METADATA_2014)),
    )
    assert tables.events[["user_id", "item_id", "rating"]].to_numpy().tolist() == [
        ["A1", "B01", 5.0],
        ["A1", "B02", 3.0],
        ["A2", "B03", 1.0],
    ]
    assert tables.events["timestamp"][0] == pd.Timestamp("2014-01-30", tz="UTC")
    assert facts(tables.items) == [
        ["B01", "Nail & Hair Oil", "Nail & Hair Oil. Beauty > Hair Care"],
        ["B02", "Beauty", "Beauty"],
        ["B03", "B03", "B03"],
    ]
    assert tables.items["price"].fillna(-1).tolist() == [3.5, -1, -1]
    assert tables.items["brand"].fillna("").tolist() == ["OPI", "", ""]


def test_2018_with_one_category_list_prices_in_text_and_scripts_for_titles(write: Write) -> None:
    reviews = write("All_Beauty.json", json_lines(REVIEWS_2014))
    metadata = write(
        "meta_All_Beauty.json",
        json_lines(
            [
                {
                    "asin": "B01",
                    "title": "Oil",
                    "category": ["Beauty", "<span>junk</span>", "Hair"],
                    "price": "$1,003.99",
                },
                {"asin": "B01", "title": "Oil again", "category": ["Beauty"]},
                {
                    "asin": "B02",
                    "title": "var aPageStart = (new Date()).getTime();",
                    "category": [],
                    "price": ".a-box{}",
                },
                {"asin": "B03", "title": "Soap", "category": []},
            ]
        ),
    )
    tables = load(reviews, metadata)
    assert facts(tables.items) == [
        ["B01", "Oil", "Oil. Beauty > Hair"],
        ["B02", "B02", "B02"],
        ["B03", "Soap", "Soap"],
    ]
    assert tables.items["price"].fillna(-1).tolist() == [1003.99, -1, -1]


def test_2023_with_milliseconds_and_parent_asins(write: Write) -> None:
    reviews = write(
        "All_Beauty.jsonl",
        json_lines(
            [
                {
                    "rating": 5.0,
                    "title": "Nice",
                    "text": "good",
                    "asin": "B00",
                    "parent_asin": "B01",
                    "user_id": "AGK",
                    "timestamp": 1588687728923,
                    "verified_purchase": True,
                }
            ]
        ),
    )
    metadata = write(
        "meta_All_Beauty.jsonl",
        json_lines(
            [
                {
                    "main_category": "All Beauty",
                    "title": "Hair Spray",
                    "price": None,
                    "store": "Howard",
                    "categories": [],
                    "parent_asin": "B01",
                }
            ]
        ),
    )
    tables = load(reviews, metadata)
    assert tables.events["timestamp"][0] == pd.Timestamp("2020-05-05 14:08:48.923", tz="UTC")
    assert tables.events["item_id"].tolist() == ["B01"]
    assert facts(tables.items) == [["B01", "Hair Spray", "Hair Spray. All Beauty"]]
    assert tables.items["brand"].tolist() == ["Howard"]


def test_without_metadata_items_go_by_their_ids(write: Write) -> None:
    tables = load(write("reviews.json", json_lines(REVIEWS_2014)), None)
    assert tables.items["text"].tolist() == ["B01", "B02", "B03"]


def test_broken_lines_are_counted_and_a_file_without_reviews_is_refused(write: Write) -> None:
    tables = load(write("reviews.json", json_lines(REVIEWS_2014) + '{"reviewerID": "A9", \n'), None)
    assert tables.bad_rows == {"not a JSON object": 1}
    with pytest.raises(GateFailed, match="holds no reviews, 1 lines"):
        load(write("none.json", "nothing\n"), None)
