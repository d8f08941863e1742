"""A bundle that goes with its shop: items put in, changed and taken out while it serves, searchable at once."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.errors import UsageError
from data_prep.files import fingerprint
from index.bundle.bundle import Bundle
from index.bundle.change_log import CHANGES, Change, ChangeLog
from index.bundle.item_table import UnfitItem, UnfitItems, as_table, checked_items, name_of
from index.live.live_view import LiveView
from towers.model import NEW, AddedItems

log = logging.getLogger(__name__)


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
        """Put items in, each in the place of the one that had its id; they are on disk and can be found on return.

        Args:
            items: n items, each with `item_id` and `text`, and any other column of the catalogue; of two with one id
                the later one stays.

        Raises:
            UnfitItems: some cannot be served; nothing is changed.
            GateFailed: the disk is full; nothing is changed.
        """
        checked = checked_items(items, self.bundle.items)
        numbers = {item["item_id"]: number for number, item in enumerate(checked)}  # the later of two with one id
        distinct = {item_id: checked[number] for item_id, number in numbers.items()}
        if not distinct:
            return self.view
        table = as_table(list(distinct.values()), self.bundle.items)
        sentences = self.bundle.item_encoder.sentences(table)
        self._require_encodable(table, sentences, list(numbers.values()))  # items that are not must not be logged
        return self._write(
            [
                Change.upsert(item, sentence, self._encoder)
                for item, sentence in zip(distinct.values(), sentences, strict=True)
            ]
        )

    def delete(self, item_ids: Sequence[str]) -> LiveView:
        """Take items out; ids that are not there are passed over.

        Raises:
            GateFailed: the disk is full; nothing is changed.
        """
        return self._write([Change.delete(item_id) for item_id in dict.fromkeys(item_ids)])

    def catch_up(self) -> LiveView:
        """Take in the changes that other processes have logged since the last one."""
        with self._writing:
            self._apply(self._log.read_on())
            return self.view

    def _require_encodable(self, table: pd.DataFrame, sentences: NDArray[np.float32], numbers: Sequence[int]) -> None:
        try:
            self._encode(table, sentences)
        except (ValueError, UsageError):
            faults = {}
            for row, number in enumerate(numbers):
                try:
                    self._encode(table.iloc[[row]], sentences[[row]])
                except (ValueError, UsageError) as error:
                    faults[number] = UnfitItem(f"{name_of(dict(table.iloc[row]))}: {error}")
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
        unread = [row for row, sentence in enumerate(known) if sentence is None]
        sentences = np.zeros((len(changes), encoder.text_dim), np.float32)
        sentences[unread] = encoder.sentences(table.iloc[unread])
        for row, sentence in enumerate(known):
            if sentence is not None:
                sentences[row] = sentence
        return sentences

    def _encode(self, table: pd.DataFrame, sentences: NDArray[np.float32]) -> AddedItems:
        rows = [self.bundle.row_of.get(item_id, NEW) for item_id in table[Columns.ITEM_ID]]
        encoded = self.bundle.item_encoder.encode(table, np.array(rows, np.int64), sentences)
        broken = np.flatnonzero(~np.isfinite(encoded.vectors).all(axis=1))
        if len(broken):
            raise ValueError(f"items {table[Columns.ITEM_ID].iloc[broken[:20]].tolist()} have vectors with NaN")
        return encoded
