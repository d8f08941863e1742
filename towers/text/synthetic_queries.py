"""Synthetic queries: search texts made from items, for logs that record none."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.config import require
from data_prep.errors import UsageError
from towers.text.query_text import QueryText
from towers.text.typos import misspelt

WORD = re.compile(r"\w[\w'’-]*")


@dataclass
class QueryConfig:
    """How search texts are read, and made from items where there are none.

    Attributes:
        rate: share of training events without a logged query that are preceded by a synthetic one.
        alone: share of the catalogue's items that stand in every epoch after a synthetic query and no history at all.
        lower: whether the case of search texts says nothing.
        columns: item columns that the way "columns" tries in order; the first that is not empty gives the query.
        max_words: words of a synthetic query, at most.
        ways: how often each of `WAYS` is taken, relative to the others.
        variants: synthetic queries of each item.
        typos: share of them that are misspelt (see `misspelt`).
    """

    rate: float
    alone: float
    lower: bool
    columns: list[str]
    max_words: int
    ways: dict[str, float]
    variants: int
    typos: float

    def __post_init__(self) -> None:
        for name in ("rate", "alone", "typos"):
            require(f"queries.{name}", getattr(self, name), 0, 1)
        for name in ("max_words", "variants"):
            require(f"queries.{name}", getattr(self, name), 1)
        if unknown := set(self.ways) - set(WAYS):
            raise UsageError(f"queries.ways: {', '.join(sorted(unknown))}: there is {', '.join(WAYS)}")
        require("queries.ways", min(self.ways.values(), default=0), 0)
        if not sum(self.ways.values()) > 0:
            raise UsageError("queries.ways: all are 0; queries.rate=0 and queries.alone=0 leave synthetic queries out")

    @property
    def text(self) -> QueryText:
        """How search texts are read."""
        return QueryText(self.lower)


@dataclass(frozen=True)
class DescribedItem:
    """Words of an item that a query can be made of.

    Attributes:
        columns: words of the first column that is not empty.
        title: words of the title.
        brand: words of the brand.
        category: last words of the category.
        titles: in how many titles each word of the catalogue occurs, lower case.
    """

    columns: Sequence[str]
    title: Sequence[str]
    brand: Sequence[str]
    category: Sequence[str]
    titles: Counter[str]


Way = Callable[[DescribedItem, int, np.random.Generator], Sequence[str]]


def _columns(item: DescribedItem, most: int, rng: np.random.Generator) -> Sequence[str]:
    """The last words: "hair care > shampoo" asks for "shampoo" rather than for everything."""
    return item.columns[-most:]


def _contiguous(item: DescribedItem, most: int, rng: np.random.Generator) -> Sequence[str]:
    """Neighbouring words of the title, from any place."""
    if not item.title:
        return ()
    length = int(rng.integers(1, min(most, len(item.title)) + 1))
    start = int(rng.integers(len(item.title) - length + 1))
    return item.title[start : start + length]


def _salient(item: DescribedItem, most: int, rng: np.random.Generator) -> Sequence[str]:
    """The rarest words of the title that another title has too, in their order: what sets the item's kind apart."""
    shared = [word for word in dict.fromkeys(item.title) if item.titles[word.lower()] > 1]
    if not shared:
        return ()
    length = int(rng.integers(1, min(most, len(shared)) + 1))
    rarest = sorted(shared, key=lambda word: item.titles[word.lower()])[:length]
    return [word for word in shared if word in rarest]


def _brand(item: DescribedItem, most: int, rng: np.random.Generator) -> Sequence[str]:
    """The brand and the category's last words."""
    return [*item.brand, *item.category] if item.brand and item.category else ()


WAYS: dict[str, Way] = {"columns": _columns, "contiguous": _contiguous, "salient": _salient, "brand": _brand}
"""From an item to the words of a query; none where the item does not have what the way asks for."""


def synthetic_queries(items: pd.DataFrame, config: QueryConfig, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Search texts for each item.

    Each is made in a way drawn by the frequencies of `ways`, or as "columns" says where the item does not have what
    that way asks for, then misspelt or not.

    Args:
        items: canonical items table, N rows.
        config: see there.
        seed: of what is drawn.

    Returns:
        For each item the positions of its texts among the distinct ones, [N, variants], -1 for none; and those texts.
    """
    rng, typing = np.random.default_rng(seed), np.random.default_rng((seed, 1))  # words stay the same with more typos
    ways = [WAYS[name] for name, share in config.ways.items() if share > 0]
    shares = np.array([share for share in config.ways.values() if share > 0])
    described = _described(items, config)
    drawn = rng.choice(len(ways), (len(described), config.variants), p=shares / shares.sum())
    spoilt = typing.random(drawn.shape) < config.typos
    texts = []
    for item, chosen, wrong in zip(described, drawn, spoilt, strict=True):
        for way, misspell in zip(chosen.tolist(), wrong.tolist(), strict=True):
            words = ways[way](item, config.max_words, rng) or _columns(item, config.max_words, rng)
            text = config.text(" ".join(words).lower())
            texts.append(misspelt(text, typing) if misspell else text)
    codes, distinct = pd.factorize(pd.Series(texts, dtype="str").replace("", None))
    return np.asarray(codes, np.int64).reshape(drawn.shape), [str(text) for text in distinct]


def one_query_per_item(items: pd.DataFrame, config: QueryConfig, seed: int) -> list[str]:
    """One search text for each item, "" for none, [N]; arguments as `synthetic_queries`'s."""
    codes, texts = synthetic_queries(items, replace(config, variants=1), seed)
    return ["" if code < 0 else texts[code] for code in codes[:, 0].tolist()]


def _described(items: pd.DataFrame, config: QueryConfig) -> list[DescribedItem]:
    first = pd.Series([""] * len(items), dtype=str)
    for column in config.columns:
        if column in items:
            first = first.where(first.map(WORD.search).notna(), _filled(items, column))
    title, brand, category = (_filled(items, column) for column in (Columns.TITLE, Columns.BRAND, Columns.CATEGORY))
    words = [WORD.findall(text) for text in title]
    titles = Counter(word.lower() for of_one in words for word in dict.fromkeys(of_one))
    return [
        DescribedItem(WORD.findall(a), b, WORD.findall(c), WORD.findall(d)[-config.max_words :], titles)
        for a, b, c, d in zip(first, words, brand, category, strict=True)
    ]


def _filled(items: pd.DataFrame, column: str) -> "pd.Series[str]":
    """A column as texts, "" where it is empty or not there."""
    if column not in items:
        return pd.Series([""] * len(items), dtype=str)
    return items[column].fillna("").astype(str).reset_index(drop=True)


def rows_by_query(texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Rows of the items that each synthetic query stands for, in the order in which queries first occur.

    Args:
        texts: synthetic query of each item, "" for none, [N].
    """
    rows: dict[str, list[int]] = {}
    for row, query in enumerate(texts):
        if query:
            rows.setdefault(query, []).append(row)
    return {query: np.array(items, np.int64) for query, items in rows.items()}
