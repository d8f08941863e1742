"""What a bundle is at one moment of its life: its own items and those that came since, as if they were one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.grown_table import GrownTable
from index.bundle.bundle import Bundle
from index.live.live_index import LiveIndex, LiveSelection, segment
from index.search.filters import Attributes, Filter
from towers import CrossEncoder, Funnel, History, ModelEncoder
from towers.candidates.fallback import Fallback
from towers.model.user_side import AddedItems


class LiveRows(Mapping[str, int]):
    """Row of each item id: the bundle's, but for what has changed.

    Args:
        bundle: the bundle's own.
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
class LiveView:
    """A bundle and what has changed since, at one moment. Never changes: one is held per request.

    Rows 0…N-1 are the bundle's, so its users' histories stay good; an item put in or changed has a row behind them.

    Attributes:
        version: the bundle's.
        exclude_seen: as of the bundle's manifest.
        item_ids, titles, texts: of each row, also of items that are gone.
        categories: likewise; None where the items have no such column.
        row_of: row of each item that can be found.
        vectors: of each row, [N + M, D].
        index: search over them.
        user_encoder: makes a query vector from a history, whose items may be new ones, and a query text.
        reranker: reorders candidates, where one was trained.
        funnel: channels beside the index; None where there are none.
        query_funnel: the same for whoever asks by a query.
        fallback: what those of whom nothing is known get; None for the towers' own answer.
        added: the table of added items, row N + i for its row i, with the columns of the bundle's.
    """

    version: str
    exclude_seen: bool
    item_ids: GrownTable[np.object_]
    titles: GrownTable[np.object_]
    texts: GrownTable[np.object_]
    categories: GrownTable[np.object_] | None
    row_of: LiveRows
    vectors: GrownTable[np.float32]
    index: LiveIndex
    user_encoder: ModelEncoder
    reranker: CrossEncoder | None
    funnel: Funnel | None
    query_funnel: Funnel | None
    fallback: Fallback | None
    added: pd.DataFrame
    _bundle: Bundle

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """A bundle without changes."""
        nothing = np.empty(0, object)
        vectors = np.empty((0, bundle.manifest.dim), np.float32)
        everything = np.ones(len(bundle.vectors), bool)
        return cls(
            version=bundle.version,
            exclude_seen=bundle.exclude_seen,
            item_ids=GrownTable(bundle.item_ids, nothing),
            titles=GrownTable(bundle.titles, nothing),
            texts=GrownTable(bundle.texts, nothing),
            categories=None if bundle.categories is None else GrownTable(bundle.categories, nothing),
            row_of=LiveRows(bundle.row_of, {}),
            vectors=GrownTable(bundle.vectors, vectors),
            index=LiveIndex(bundle.index, everything, None, np.empty(0, bool), {}),
            user_encoder=bundle.user_encoder,
            reranker=bundle.reranker,
            funnel=bundle.funnel,
            query_funnel=bundle.query_funnel,
            fallback=bundle.fallback,
            added=bundle.items.iloc[:0],
            _bundle=bundle,
        )

    def history(self, user_id: str) -> History | None:
        """A user's newest events, as of the bundle."""
        return self._bundle.history(user_id)

    def allowed(self, wanted: Filter) -> LiveSelection:
        """The items that a filter leaves, ready for `index.search.item_index`; see `Bundle.allowed`.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        added = self.index.added
        if added is None:
            return LiveSelection(self._bundle.allowed(wanted), None)
        places = {item_id: place for place, item_id in enumerate(self.added[Columns.ITEM_ID])}
        rows = Attributes(self.added, places).rows(wanted)
        return LiveSelection(self._bundle.allowed(wanted), added.allow(rows))

    def changed(self, items: pd.DataFrame, encoded: AddedItems, gone: Sequence[str]) -> "LiveView":
        """The view after some changes; this one stays as it is.

        Args:
            items: items put in or changed, each id once, with the columns of the bundle's table.
            encoded: their vectors.
            gone: ids of items taken out; those that are not there are passed over.
        """
        count = len(self._bundle.vectors)
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
            former = self._bundle.row_of.get(item_id)
            if former is not None:
                successors[former] = row
        vectors = GrownTable(self.vectors, encoded.vectors)
        return replace(
            self,
            item_ids=GrownTable(self.item_ids, ids),
            titles=GrownTable(self.titles, items[Columns.TITLE].to_numpy(dtype=object)),
            texts=GrownTable(self.texts, self._texts(items)),
            categories=_categories(self.categories, items),
            row_of=LiveRows(self._bundle.row_of, rows),
            vectors=vectors,
            index=LiveIndex(self.index.main, alive, segment(vectors.added), added_alive, successors),
            user_encoder=self.user_encoder.grown(encoded),
            funnel=_grown(self.funnel, items),
            query_funnel=_grown(self.query_funnel, items),
            added=pd.concat([self.added, items], ignore_index=True) if len(items) else self.added,
        )

    def _texts(self, items: pd.DataFrame) -> NDArray[np.object_]:
        """What the reranker reads of items, [n]."""
        if self.reranker is None:
            return items[Columns.TEXT].to_numpy(dtype=object)
        return np.array(self.reranker.input_template.items(items), dtype=object)


def _grown(funnel: Funnel | None, items: pd.DataFrame) -> Funnel | None:
    """A funnel with items added behind, where there is one."""
    return funnel if funnel is None or not len(items) else funnel.grown(items)


def _categories(known: GrownTable[np.object_] | None, items: pd.DataFrame) -> GrownTable[np.object_] | None:
    """Categories with those of added items behind; None, as the titles have it, where an item has none."""
    if known is None:
        return None
    return GrownTable(
        known, items[Columns.CATEGORY].astype(object).where(items[Columns.CATEGORY].notna(), None).to_numpy()
    )
