"""A bundle that goes with its shop: items put in, changed and taken out while it serves, searchable at once."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import UsageError
from data_prep.files import fingerprint
from index.bundle import Bundle
from index.changes import CHANGES, Change, ChangeLog
from index.filters import Attributes, Filter
from index.item_table import UnfitItem, UnfitItems, as_table, checked_items, name_of
from index.live_index import LiveIndex, LiveSelection, segment
from towers import CrossEncoder, Funnel, History, ModelEncoder
from towers.fallback import Fallback
from towers.grown_table import GrownTable
from towers.item_encoder import NEW
from towers.model_encoder import AddedItems

log = logging.getLogger(__name__)


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
        """The items that a filter leaves, ready for `index.search`; see `Bundle.allowed`.

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
        return np.array(self.reranker.rendering.items(items), dtype=object)


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


class LiveBundle:
    """The newest `LiveView` of a bundle, and the way to make the next one.

    Changes are logged before they can be seen, and read again from the log when a bundle is loaded. Any number of
    threads may take `view` and search it while others change items; a change becomes visible by one assignment.

    Args:
        bundle: the bundle.
        changes: the log beside it.

    Attributes:
        bundle: the bundle.
        view: the bundle with all changes so far.
        refused: changes of the log that this bundle's model cannot encode.
    """

    def __init__(self, bundle: Bundle, changes: ChangeLog) -> None:
        self.bundle = bundle
        self.view = LiveView.of(bundle)
        self.refused = 0
        self._log = changes
        self._writing = threading.Lock()
        files = sorted(bundle.manifest.files.items())
        self._encoder = fingerprint(*(record.sha256 for name, record in files if "/text_encoder/" in name))
        self.catch_up()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a bundle and the changes logged since it was built.

        Args:
            folder: a version's folder, or the link `current`.

        Raises:
            BundleError: as `Bundle.load`.
        """
        folder = folder.resolve()
        return cls(Bundle.load(folder), ChangeLog(folder.parent / CHANGES))

    @property
    def damaged(self) -> int:
        """Lines of the log that were cut short or damaged, and passed over."""
        return self._log.damaged

    def upsert(self, items: Sequence[Mapping[str, Any]]) -> LiveView:
        """Put items in, each in the place of what had its id; they are on disk and can be found on return.

        Args:
            items: n items, each with `item_id` and `text`, and any other column of the catalogue; of two with one id
                the later one stays.

        Raises:
            UnfitItems: some cannot be served; nothing is changed.
            GateFailed: the disk is full; nothing is changed.
        """
        checked = checked_items(items, self.bundle.items)
        places = {item["item_id"]: place for place, item in enumerate(checked)}
        distinct = {item_id: checked[place] for item_id, place in places.items()}
        if not distinct:
            return self.view
        table = as_table(list(distinct.values()), self.bundle.items)
        sentences = self.bundle.item_encoder.sentences(table)
        self._require_encodable(table, sentences, list(places.values()))  # what is not must not be logged
        return self._write(
            [Change.upsert(item, one, self._encoder) for item, one in zip(distinct.values(), sentences, strict=True)]
        )

    def delete(self, item_ids: Sequence[str]) -> LiveView:
        """Take items out; ids that are not there are passed over.

        Raises:
            GateFailed: the disk is full; nothing is changed.
        """
        return self._write([Change.delete(item_id) for item_id in dict.fromkeys(item_ids)])

    def catch_up(self) -> LiveView:
        """Take in what other processes have logged since the last change."""
        with self._writing:
            self._apply(self._log.read_on())
            return self.view

    def _require_encodable(self, table: pd.DataFrame, sentences: NDArray[np.float32], places: Sequence[int]) -> None:
        try:
            self._encode(table, sentences)
        except (ValueError, UsageError):
            faults = {}
            for row, place in enumerate(places):
                try:
                    self._encode(table.iloc[[row]], sentences[[row]])
                except (ValueError, UsageError) as error:
                    faults[place] = UnfitItem(f"{name_of(dict(table.iloc[row]))}: {error}")
            raise UnfitItems(faults) from None

    def _write(self, changes: Sequence[Change]) -> LiveView:
        with self._writing:
            self._apply(self._log.append(changes))
            return self.view

    def _apply(self, changes: Sequence[Change]) -> None:
        merged = self.bundle.manifest.changes
        newest = {c.item_id: c for c in changes if merged is None or not merged.has(c)}
        if not newest:
            return
        gone = [item_id for item_id, change in newest.items() if change.item is None]
        put = [change for change in newest.values() if change.item is not None]
        table = as_table([change.item or {} for change in put], self.bundle.items)
        try:
            encoded = self._encode(table, self._sentences(put, table))
        except (ValueError, UsageError):
            sound = [change for change in put if self._is_sound(change)]
            table = as_table([change.item or {} for change in sound], self.bundle.items)
            encoded = self._encode(table, self._sentences(sound, table))
        self.view = self.view.changed(table, encoded, gone)

    def _is_sound(self, change: Change) -> bool:
        """Whether this bundle's model can encode a change; it may have been logged beside another one's."""
        table = as_table([change.item or {}], self.bundle.items)
        try:
            self._encode(table, self._sentences([change], table))
        except (ValueError, UsageError) as error:
            log.warning("change %d of item %r is passed over: %s", change.number, change.item_id, error)
            self.refused += 1
            return False
        return True

    def _sentences(self, changes: Sequence[Change], table: pd.DataFrame) -> NDArray[np.float32]:
        """Sentence vectors of changes, [n, text_dim]; texts that another encoder read are read again."""
        encoder = self.bundle.item_encoder
        known = [change.sentence_by(self._encoder) for change in changes]
        unread = [place for place, sentence in enumerate(known) if sentence is None]
        sentences = np.zeros((len(changes), encoder.text_dim), np.float32)
        sentences[unread] = encoder.sentences(table.iloc[unread])
        for place, sentence in enumerate(known):
            if sentence is not None:
                sentences[place] = sentence
        return sentences

    def _encode(self, table: pd.DataFrame, sentences: NDArray[np.float32]) -> AddedItems:
        rows = [self.bundle.row_of.get(item_id, NEW) for item_id in table[Columns.ITEM_ID]]
        encoded = self.bundle.item_encoder.encode(table, np.array(rows, np.int64), sentences)
        broken = np.flatnonzero(~np.isfinite(encoded.vectors).all(axis=1))
        if len(broken):
            raise ValueError(f"items {table[Columns.ITEM_ID].iloc[broken[:20]].tolist()} have vectors with NaN")
        return encoded
