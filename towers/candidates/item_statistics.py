"""What is known of items beside the channels' scores: popularity, newest event, price, category, brand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Column, Columns
from data_prep.files import read_json, write_json
from data_prep.grown_table import GrownTable, Table
from data_prep.vector_file import map_vectors, save_vectors
from towers.events.history import History
from towers.events.interactions import Interactions

DAY = 86_400.0
FACTS, DESCRIPTION = "facts.npy", "facts.json"

POPULARITY, NEWEST, PRICE, CATEGORY, BRAND = range(5)
"""Columns of the facts: log(1 + training events), day of the newest of them, log price, codes of category and brand."""

LABELS = (Columns.CATEGORY, Columns.BRAND)

NOW = 20
"""Newest events of a history that tell what somebody is after now."""

ABOUT = ("popularity", "recency", "price fit", "category share", "category now", "brand share", "repeats")
"""What `ItemStatistics.about` tells of a candidate, in its order."""


@dataclass(frozen=True)
class ItemStatistics:
    """Facts of the catalogue.

    Attributes:
        table: [N, 5], columns as above; NaN where something is not known.
        codes: of the labels of categories and of brands, by column.
        until: day of the newest event of the log, since the epoch; NaN where it has no times.
    """

    table: Table[np.float32]
    codes: Mapping[str, Mapping[str, int]]
    until: float

    @classmethod
    def of(cls, items: pd.DataFrame, log: Interactions) -> Self:
        """Facts of a catalogue after some events."""
        codes = {
            column: {str(label): code for code, label in enumerate(_labels(items, column).dropna().unique())}
            for column in LABELS
        }
        days, newest = log.timestamps / DAY, np.full(log.num_items, np.nan)
        np.fmax.at(newest, log.rows, days)
        table = _table(items, np.log1p(log.counts()), newest, codes)
        return cls(table, codes, float(np.fmax.reduce(days, initial=np.nan)))

    def over(self, places: NDArray[np.int64], items: pd.DataFrame) -> Self:
        """The facts of another catalogue; of items that are new there only what they say themselves.

        Args:
            places: row of each item in the new catalogue, [N]; -1 for what it does not have.
            items: the new catalogue.
        """
        table, kept = self.grown(items).table[len(self.table) + np.arange(len(items))], places >= 0
        table[places[kept]] = self.table[np.flatnonzero(kept)]
        return replace(self, table=table)

    def grown(self, items: pd.DataFrame) -> Self:
        """The facts with those of items behind, which nobody has had yet."""
        unknown = np.full(len(items), np.nan)
        return replace(self, table=GrownTable(self.table, _table(items, np.zeros(len(items)), unknown, self.codes)))

    def about(self, rows: NDArray[np.int64], history: History) -> NDArray[np.float32]:
        """What is known of candidates for one user, [n] -> [n, A], columns as `ABOUT`; NaN where nothing is.

        Recency is log(1 + days from an item's newest event to the log's), price fit the distance of its log price from
        the mean one of the history, category share and brand share the shares of the history that are like it, category
        now the one of the newest events, repeats log(1 + its events in the history).
        """
        own, had = self.table[rows], self.table[history.rows]  # [n, 5], [L, 5]
        about = np.full((len(rows), len(ABOUT)), np.nan, np.float32)
        about[:, 0] = own[:, POPULARITY]
        about[:, 1] = np.log1p(np.maximum(self.until - own[:, NEWEST], 0))
        paid = had[:, PRICE][~np.isnan(had[:, PRICE])]
        if len(paid):
            about[:, 2] = np.abs(own[:, PRICE] - paid.mean())
        if len(had):
            same = own[:, np.newaxis, CATEGORY] == had[:, CATEGORY]  # [n, L]
            about[:, 3], about[:, 4] = same.mean(axis=1), same[:, -NOW:].mean(axis=1)
            about[:, 5] = (own[:, np.newaxis, BRAND] == had[:, BRAND]).mean(axis=1)
            about[:, 6] = np.log1p((rows[:, np.newaxis] == history.rows).sum(axis=1))
        return about

    def save(self, folder: Path) -> None:
        """Write `facts.npy` and `facts.json` into a folder."""
        save_vectors(folder / FACTS, np.ascontiguousarray(self.table[np.arange(len(self.table))]))
        write_json(
            folder / DESCRIPTION,
            {"labels": {column: list(codes) for column, codes in self.codes.items()}, "until": self.until},
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the table is mapped."""
        described = read_json(folder / DESCRIPTION)
        codes = {
            column: {label: code for code, label in enumerate(labels)} for column, labels in described["labels"].items()
        }
        return cls(map_vectors(folder / FACTS), codes, described["until"])


def _labels(items: pd.DataFrame, column: str) -> Column:
    if column not in items:
        return pd.Series(np.nan, items.index, dtype=object)
    return items[column].astype(object).replace("", np.nan)


def _table(
    items: pd.DataFrame,
    popularity: NDArray[np.float64],
    newest: NDArray[np.float64],
    codes: Mapping[str, Mapping[str, int]],
) -> NDArray[np.float32]:
    """[N, 5]."""
    prices = np.full(len(items), np.nan)
    if Columns.PRICE in items:
        prices = items[Columns.PRICE].to_numpy(dtype=np.float64, na_value=np.nan)
    labels = [
        _labels(items, column).map(codes[column]).to_numpy(dtype=np.float64, na_value=np.nan) for column in LABELS
    ]
    paid = np.log(np.where(prices > 0, prices, np.nan))
    return np.stack([popularity, newest, paid, *labels], axis=1).astype(np.float32)
