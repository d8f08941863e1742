"""Amazon reviews as published by McAuley's group in 2014, 2018 and 2023: JSON lines of reviews and of metadata."""

import html
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data_prep.columns import Columns
from data_prep.errors import GateFailed
from data_prep.parsing import ids, numbers, times
from data_prep.reading import find_files, read_json_lines
from data_prep.tables import Tables, event_table
from data_prep.text import with_texts

SEPARATOR = " > "
"""Between the steps of a category path."""

LONGEST_TITLE = 500
"""Longer "titles" of the 2018 edition are scripts and style sheets that the crawler took for one."""


@dataclass(frozen=True)
class AmazonReviews:
    """Reviews as events, metadata as items. The edition shows in the keys of each line.

    2014: `reviewerID`, `asin`, `unixReviewTime`; metadata in Python literals, `categories` a list of paths.
    2018: the same keys for reviews; metadata with `category`, one path.
    2023: `user_id`, `parent_asin`, `timestamp` in milliseconds; metadata with `main_category`, `categories`, `store`.

    Attributes:
        reviews: path or glob of the reviews, `.json` or `.jsonl`, also `.gz`.
        metadata: path or glob of the metadata, or None: items then go by their ids.
        text: template of the item text, over `title`, `category` and `brand`.
    """

    reviews: str
    metadata: str | None
    text: str

    def load(self) -> Tables:
        review_files = find_files(self.reviews)
        metadata_files = find_files(self.metadata) if self.metadata else ()
        reading = read_json_lines(review_files, _review)
        if reading.frame.empty:
            raise GateFailed(f"{self.reviews} holds no reviews, {reading.bad_rows:,} lines are no JSON objects")
        reviews = reading.frame
        events = event_table(
            reviews["user"],
            reviews["item"],
            times(reviews["time"], "ms"),
            "review",
            **{Columns.RATING: numbers(reviews["rating"])},
        )
        bought = set(events[Columns.ITEM_ID].dropna())
        known = read_json_lines(metadata_files, lambda value: _item(value, bought)).frame
        return Tables(
            items=with_texts(_with_unknown(known, sorted(bought)), self.text),
            events=events,
            bad_rows={"not a JSON object": reading.bad_rows},
            examples=reading.examples,
            files=review_files + metadata_files,
        )


def _review(value: dict[str, Any]) -> dict[str, Any]:
    """A review's four facts; the time in milliseconds whatever the edition."""
    seconds = value.get("unixReviewTime")
    return {
        "user": value.get("reviewerID", value.get("user_id")),
        "item": value.get("parent_asin", value.get("asin")),
        "time": value.get("timestamp") if seconds is None else _milliseconds(seconds),
        "rating": value.get("overall", value.get("rating")),
    }


def _milliseconds(seconds: object) -> float | None:
    try:
        return float(str(seconds)) * 1000
    except ValueError:
        return None


def _item(value: dict[str, Any], item_ids: Set[str]) -> dict[str, Any] | None:
    item_id = value.get("parent_asin", value.get("asin"))
    if item_id not in item_ids:
        return None
    return {
        Columns.ITEM_ID: item_id,
        Columns.TITLE: _title(value.get("title")),
        Columns.CATEGORY: _category(value),
        Columns.BRAND: _clean(value.get("brand") or value.get("store")),
        Columns.PRICE: value.get("price"),
    }


def _with_unknown(known: pd.DataFrame, bought: list[str]) -> pd.DataFrame:
    """One row for every item that was reviewed, the first of its metadata where there are several."""
    columns = [Columns.ITEM_ID, Columns.TITLE, Columns.CATEGORY, Columns.BRAND, Columns.PRICE]
    known = known.reindex(columns=columns)
    first = known.assign(**{Columns.ITEM_ID: ids(known[Columns.ITEM_ID])}).drop_duplicates(Columns.ITEM_ID)
    items = first.set_index(Columns.ITEM_ID).reindex(pd.Index(bought, dtype="str", name=Columns.ITEM_ID)).reset_index()
    texts = {name: items[name].astype("str") for name in (Columns.TITLE, Columns.CATEGORY, Columns.BRAND)}
    prices = numbers(items[Columns.PRICE])
    return items.assign(**texts, **{Columns.PRICE: prices.where(prices >= 0)})


def _category(value: dict[str, Any]) -> str | None:
    """The first category path: `[["Beauty", "Hair"], ...]` in 2014, one list of names since."""
    path = value.get("categories") or value.get("category") or []
    if isinstance(path, str):
        path = [path]
    if path and isinstance(path[0], list):
        path = path[0]
    names = [_clean(name) for name in path if isinstance(name, str) and "<" not in name]
    named = [name for name in names if name]
    if named:
        return SEPARATOR.join(named)
    return _clean(value.get("main_category"))


def _title(value: object) -> str | None:
    text = _clean(value)
    return None if text is None or "getTime" in text or len(text) > LONGEST_TITLE else text


def _clean(value: object) -> str | None:
    """Text without HTML entities, tags and runs of blanks; None where nothing is left."""
    if not isinstance(value, str):
        return None
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(value)).split()) or None
