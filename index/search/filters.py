"""Which items an answer may hold: conditions on attributes, and the rows that satisfy them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Column, Columns
from index.search.exact import among

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Filter:
    """Conditions on items; all that are given must hold, and None asks for nothing.

    Attributes:
        categories, brands: the item's is one of these. An item without one satisfies no such condition.
        min_price, max_price: bounds, both included. An item without a price is outside.
        in_stock: whether the item's `in_stock` is set.
        allow: ids, the only ones that may be; unknown ones are passed over.
        deny: ids that may not be.

    Raises:
        ValueError: a bound that is not a number, or bounds that leave nothing between them.
    """

    categories: frozenset[str] | None = None
    brands: frozenset[str] | None = None
    min_price: float | None = None
    max_price: float | None = None
    in_stock: bool | None = None
    allow: frozenset[str] | None = None
    deny: frozenset[str] | None = None

    def __post_init__(self) -> None:
        low, high = self.price_range
        if isnan(low) or isnan(high):
            raise ValueError("min_price and max_price must be numbers, not NaN")
        if low > high:
            raise ValueError(f"min_price {low:g} is above max_price {high:g}; no item can cost that")

    @property
    def price_range(self) -> tuple[float, float]:
        """Both bounds, infinite where there is none."""
        return -inf if self.min_price is None else self.min_price, inf if self.max_price is None else self.max_price


class UnfitColumn(ValueError):
    """A filter asks of a column that the items lack, or that holds something else.

    Args:
        column: the column.
        message: the fault, and the cure.
    """

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


class Attributes:
    """The items' attributes, each made ready for filters when one first asks of it.

    Args:
        items: the bundle's item table.
        row_of: row of each item id.
    """

    def __init__(self, items: pd.DataFrame, row_of: Mapping[str, int]) -> None:
        self._items = items
        self._row_of = row_of

    def rows(self, condition: Filter) -> Rows:
        """The rows that satisfy a filter, ascending.

        The condition that fewest items satisfy gives its rows, the others sift them.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        conditions = self._conditions(condition)
        if conditions:
            first, *others = sorted(conditions, key=lambda each: each.count)
            rows = first.rows()
        else:
            others, rows = [], np.arange(len(self._items))
        for other in others:
            rows = rows[other.holds(rows)]
        if condition.deny:
            rows = rows[~among(rows, self._known(condition.deny))]
        return rows

    def _conditions(self, condition: Filter) -> list["_Condition"]:
        conditions = []
        if condition.categories is not None:
            conditions.append(self._categories.condition(condition.categories))
        if condition.brands is not None:
            conditions.append(self._brands.condition(condition.brands))
        if condition.price_range != (-inf, inf):
            conditions.append(self._prices.condition(*condition.price_range))
        if condition.in_stock is not None:
            conditions.append(self._stock.condition(condition.in_stock, condition.in_stock))
        if condition.allow is not None:
            rows = self._known(condition.allow)
            conditions.append(_Condition(len(rows), lambda: rows, lambda some: among(some, rows)))
        return conditions

    def _known(self, ids: Collection[str]) -> Rows:
        return np.array(sorted(self._row_of[each] for each in ids if each in self._row_of), np.int64)

    @cached_property
    def _categories(self) -> "_Labels":
        return _Labels(self._column(Columns.CATEGORY))

    @cached_property
    def _brands(self) -> "_Labels":
        return _Labels(self._column(Columns.BRAND))

    @cached_property
    def _prices(self) -> "_Numbers":
        return self._numbers(Columns.PRICE)

    @cached_property
    def _stock(self) -> "_Numbers":
        return self._numbers(Columns.IN_STOCK)

    def _numbers(self, name: str) -> "_Numbers":
        column = self._column(name)
        try:
            return _Numbers(column)
        except (TypeError, ValueError) as error:
            cure = "prepare the data with numbers, or true and false, to filter by it"
            raise UnfitColumn(name, f"the items' column {name} holds {column.dtype}; {cure}") from error

    def _column(self, name: str) -> Column:
        if name not in self._items:
            raise UnfitColumn(name, f"the items have no column {name}; prepare the data with it to filter by it")
        return self._items[name]


@dataclass(frozen=True)
class _Condition:
    """How many rows satisfy it, which, and which of some."""

    count: int
    rows: Callable[[], Rows]
    holds: Callable[[Rows], NDArray[np.bool_]]


class _Labels:
    """Posting lists of a column of strings: the rows of each value."""

    def __init__(self, column: Column) -> None:
        codes, values = pd.factorize(column)  # a missing value has code -1
        self._codes = codes.astype(np.int32)
        self._code_of = {str(value): code for code, value in enumerate(values)}
        self._order = np.argsort(codes, kind="stable")
        self._ends = np.searchsorted(codes[self._order], np.arange(-1, len(values)), side="right")

    def condition(self, values: Collection[str]) -> _Condition:
        codes = np.array(sorted(self._code_of[value] for value in values if value in self._code_of), np.int32)
        lists = [self._order[self._ends[code] : self._ends[code + 1]] for code in codes]
        return _Condition(
            count=sum(map(len, lists)),
            rows=lambda: np.sort(np.concatenate([np.empty(0, np.int64), *lists])),
            holds=lambda some: np.isin(self._codes[some], codes),
        )


class _Numbers:
    """The rows of a column of numbers, by their number."""

    def __init__(self, column: Column) -> None:
        self._values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        self._order = np.argsort(self._values, kind="stable")  # NaN comes last
        self._sorted = self._values[self._order]

    def condition(self, low: float, high: float) -> _Condition:
        first = np.searchsorted(self._sorted, low, side="left")
        last = max(first, np.searchsorted(self._sorted, min(high, np.finfo(np.float64).max), side="right"))
        return _Condition(
            count=int(last - first),
            rows=lambda: np.sort(self._order[first:last]),
            holds=lambda some: (self._values[some] >= low) & (self._values[some] <= high),
        )
