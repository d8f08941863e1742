"""A bundle at one moment of its life: its items and those that came since, as if they were one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.grown_table import GrownTable, Table
from index.bundle.bundle import Bundle
from index.bundle.view import BundleView, Narrowing
from index.live.live_index import LiveIndex, LiveSelection, segment
from index.search.filters import Attributes, Filter
from index.search.item_index import ItemIndex
from towers import Funnel, ModelEncoder
from towers.model import AddedItems


class LiveRows(Mapping[str, int]):
    """Row of each item id: the bundle's, but for what has changed.

    Args:
        bundle: of the bundle as it was built.
        changed: rows of items put in or changed; None for one that was taken out.
    """

    def __init__(self, bundle: Mapping[str, int], changed: Mapping[str, int | None]) -> None:
        self._bundle = bundle
        self.changed = changed
        gone = sum(row is None and item_id in bundle for item_id, row in changed.items())
        new = sum(row is not None and item_id not in bundle for item_id, row in changed.items())
        self._count = len(bundle) - gone + new

    def __getitem__(self, item_id: str) -> int:
        if item_id not in self.changed:
            return self._bundle[item_id]
        row = self.changed[item_id]
        if row is None:
            raise KeyError(item_id)
        return row

    def __iter__(self) -> Iterator[str]:
        yield from (item_id for item_id in self._bundle if item_id not in self.changed)
        yield from (item_id for item_id, row in self.changed.items() if row is not None)

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True)
class LiveNarrowing:
    """Makes filters ready for a search over a bundle's own items and the added ones.

    Attributes:
        main: the same of the bundle.
        added: the table of added items.
        index: search over those; None where there are none.
    """

    main: Narrowing
    added: pd.DataFrame
    index: ItemIndex | None

    def __call__(self, condition: Filter, /) -> LiveSelection:
        """The rows that a filter leaves.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        if self.index is None:
            return LiveSelection(self.main(condition), None)
        return LiveSelection(self.main(condition), self.index.allow(self._attributes.rows(condition)))

    @cached_property
    def _attributes(self) -> Attributes:
        """Attributes of the added items, made at the first filter."""
        return Attributes(self.added, {item_id: row for row, item_id in enumerate(self.added[Columns.ITEM_ID])})


@dataclass(frozen=True, kw_only=True)
class LiveView(BundleView):
    """A bundle and what has changed since, at one moment. Never changes: one is held per request.

    Rows 0…N-1 are the bundle's, so its users' histories stay good; an item put in or changed has a row behind them. By
    row there are also items that are gone; `row_of` has none of them.

    Attributes:
        row_of, vectors, index, user_encoder: as of every view, added items included.
        added: the table of added items, row N + i for its row i, with the columns of the bundle's.
        bundle: the bundle.
    """

    row_of: LiveRows
    vectors: GrownTable[np.float32]
    index: LiveIndex
    user_encoder: ModelEncoder
    added: pd.DataFrame
    bundle: Bundle

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """A bundle without changes."""
        nothing = np.empty(0, object)
        columns = {name: GrownTable(getattr(bundle, name), nothing) for name in ("item_ids", "titles", "texts")}
        grown = {
            **columns,
            "categories": None if bundle.categories is None else GrownTable(bundle.categories, nothing),
            "row_of": LiveRows(bundle.row_of, {}),
            "vectors": GrownTable(bundle.vectors, np.empty((0, bundle.manifest.dim), np.float32)),
            "index": LiveIndex(bundle.index, np.ones(len(bundle.vectors), bool), None, np.empty(0, bool), {}),
        }
        added = bundle.items.iloc[:0]
        allowed = LiveNarrowing(bundle.allowed, added, None)
        return cls(**{**bundle.as_view(), **grown, "allowed": allowed}, added=added, bundle=bundle)

    def changed(self, items: pd.DataFrame, encoded: AddedItems, gone: Sequence[str]) -> "LiveView":
        """The view after some changes; this one stays as it is.

        Args:
            items: items put in or changed, each id once, with the columns of the bundle's table.
            encoded: their vectors.
            gone: ids of items taken out; those that are not there are passed over.
        """
        count = len(self.bundle.vectors)
        ids = items[Columns.ITEM_ID].to_numpy(dtype=object)
        alive, added_alive = self.index.alive.copy(), np.append(self.index.added_alive, np.ones(len(ids), bool))
        rows, successors = dict(self.row_of.changed), dict(self.index.successors)
        for item_id in (*gone, *ids):
            row = self.row_of.get(item_id)
            if row is None:
                continue
            (alive if row < count else added_alive)[row if row < count else row - count] = False
            rows[item_id] = None
        for row, item_id in enumerate(ids, len(self.item_ids)):
            rows[item_id] = row
            former = self.bundle.row_of.get(item_id)
            if former is not None:
                successors[former] = row
        vectors = GrownTable(self.vectors, encoded.vectors)
        index = LiveIndex(self.index.main, alive, segment(vectors.added), added_alive, successors)
        added = pd.concat([self.added, items], ignore_index=True) if len(items) else self.added
        return replace(
            self,
            item_ids=GrownTable(self.item_ids, ids),
            titles=GrownTable(self.titles, items[Columns.TITLE].to_numpy(dtype=object)),
            texts=GrownTable(self.texts, self._texts(items)),
            categories=_categories(self.categories, items),
            row_of=LiveRows(self.bundle.row_of, rows),
            vectors=vectors,
            index=index,
            allowed=LiveNarrowing(self.bundle.allowed, added, index.added),
            user_encoder=self.user_encoder.grown(encoded),
            funnel=_grown(self.funnel, items),
            query_funnel=_grown(self.query_funnel, items),
            added=added,
        )

    def _texts(self, items: pd.DataFrame) -> NDArray[np.object_]:
        """Texts of items as the cross-encoder is shown them, [n]."""
        if self.cross_encoder is None:
            return items[Columns.TEXT].to_numpy(dtype=object)
        return np.array(self.cross_encoder.input_template.items(items), dtype=object)


def _grown(funnel: Funnel | None, items: pd.DataFrame) -> Funnel | None:
    """A funnel with items added behind, where there is one."""
    return funnel if funnel is None or not len(items) else funnel.grown(items)


def _categories(known: Table[np.object_] | None, items: pd.DataFrame) -> GrownTable[np.object_] | None:
    """Categories with those of added items behind; None, as the titles have it, where an item has none."""
    if known is None:
        return None
    return GrownTable(
        known, items[Columns.CATEGORY].astype(object).where(items[Columns.CATEGORY].notna(), None).to_numpy()
    )
