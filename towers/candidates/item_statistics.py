"""Item statistics: popularity, newest event, price, category and brand, and the ranking features made of them."""

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
TABLE, DESCRIPTION = "item_statistics.npy", "item_statistics.json"

POPULARITY, NEWEST, PRICE, CATEGORY, BRAND = range(5)
"""Columns of the table: log(1 + training events), day of the newest of them, log price, codes of category and brand."""

LABELS = (Columns.CATEGORY, Columns.BRAND)

NOW = 20
"""Newest events of a history, which tell of the present need."""

ITEM_FEATURES = ("popularity", "recency", "price fit", "category share", "category now", "brand share", "repeats")
"""Columns of `ItemStatistics.item_features`."""


@dataclass(frozen=True)
class ItemStatistics:
    """Statistics of the catalogue.

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
        """Statistics of a catalogue after some events."""
        codes = {
            column: {str(label): code for code, label in enumerate(_labels(items, column).dropna().unique())}
            for column in LABELS
        }
        days, newest = log.timestamps / DAY, np.full(log.num_items, np.nan)
        np.fmax.at(newest, log.rows, days)
        table = _table(items, np.log1p(log.counts()), newest, codes)
        return cls(table, codes, float(np.fmax.reduce(days, initial=np.nan)))

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame) -> Self:
        """The statistics of another catalogue; of items that are new there only those of their own columns.

        Args:
            new_rows: row of each item in the new catalogue, [N]; -1 for what it does not have.
            items: the new catalogue.
        """
        table, kept = self.grown(items).table[len(self.table) + np.arange(len(items))], new_rows >= 0
        table[new_rows[kept]] = self.table[np.flatnonzero(kept)]
        return replace(self, table=table)

    def grown(self, items: pd.DataFrame) -> Self:
        """The statistics with those of items behind, which nobody has had yet."""
        unknown = np.full(len(items), np.nan)
        return replace(self, table=GrownTable(self.table, _table(items, np.zeros(len(items)), unknown, self.codes)))

    def item_features(self, rows: NDArray[np.int64], history: History) -> NDArray[np.float32]:
        """Features of candidates for one user, [n] -> [n, A], columns as `ITEM_FEATURES`; NaN where nothing is known.

        Recency is log(1 + days from an item's newest event to the log's), price fit the distance of its log price from
        the mean one of the history, category share and brand share the shares of the history that are like it, category
        now the one of the newest events, repeats log(1 + its events in the history).
        """
        candidates, had = self.table[rows], self.table[history.rows]  # [n, 5], [L, 5]
        features = np.full((len(rows), len(ITEM_FEATURES)), np.nan, np.float32)
        features[:, 0] = candidates[:, POPULARITY]
        features[:, 1] = np.log1p(np.maximum(self.until - candidates[:, NEWEST], 0))
        paid = had[:, PRICE][~np.isnan(had[:, PRICE])]
        if len(paid):
            features[:, 2] = np.abs(candidates[:, PRICE] - paid.mean())
        if len(had):
            same = candidates[:, np.newaxis, CATEGORY] == had[:, CATEGORY]  # [n, L]
            features[:, 3], features[:, 4] = same.mean(axis=1), same[:, -NOW:].mean(axis=1)
            features[:, 5] = (candidates[:, np.newaxis, BRAND] == had[:, BRAND]).mean(axis=1)
            features[:, 6] = np.log1p((rows[:, np.newaxis] == history.rows).sum(axis=1))
        return features

    def save(self, folder: Path) -> None:
        """Write `item_statistics.npy` and `item_statistics.json` into a folder."""
        save_vectors(folder / TABLE, np.ascontiguousarray(self.table[np.arange(len(self.table))]))
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
        return cls(map_vectors(folder / TABLE), codes, described["until"])


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
