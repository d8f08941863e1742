"""Items put in, changed and taken out of the bundle that is being served."""

import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread

from data_prep.errors import GateFailed
from index import LiveBundle, LiveView
from retrieval_server.api.errors import NotChanged
from retrieval_server.bundles.item_columns import ItemColumns
from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
from retrieval_server.runtime.memory import give_back
from retrieval_server.telemetry.observer import Observer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppliedChange:
    """Effect of a change of items.

    Attributes:
        version: the bundle that has it.
        count: items that were put in, changed or taken out.
        unknown: ids to be taken out that were not there, each once.
    """

    version: str
    count: int
    unknown: Sequence[str] = ()


class LiveItems:
    """Changes the items of the bundle in a slot, and looks for what other processes have changed.

    One change at a time, and none while another bundle takes the slot: what was acknowledged is never lost between two.

    Args:
        slot: where requests take their bundle from.
        observer: notes the version served.
        seconds: from one look to the next.
    """

    def __init__(self, slot: BundleSlot, observer: Observer, seconds: float) -> None:
        self._slot = slot
        self._observer = observer
        self._seconds = seconds
        self._lock = Lock()
        self._former: list[weakref.ref[LiveBundle]] = []
        self._closed = Event()
        self._watcher = Thread(target=self._watch, name="changes", daemon=True)
        self._watcher.start()

    def put(self, bundle: ServedBundle) -> None:
        """Give a bundle to every request from now on, with all that was changed since it was loaded."""
        with self._lock:
            if bundle.live is not None:
                bundle.live.catch_up()
            former = self._slot.peek()
            if former is not None and former.live is not None:
                self._former.append(weakref.ref(former.live))
            self._show(bundle)

    def upsert(self, items: Sequence[ItemColumns]) -> AppliedChange:
        """Put items in, each replacing the item of its id; the next request finds them.

        Raises:
            NotReady: the first bundle is still loading.
            UnfitItems: some cannot be served; nothing is changed.
            NotChanged: they could not be written down.
        """
        view = self._change(lambda live: live.upsert(items))
        return AppliedChange(view.version, len({item["item_id"] for item in items}))

    def delete(self, item_ids: Sequence[str]) -> AppliedChange:
        """Take items out; the next request does not find them.

        Raises:
            NotReady: the first bundle is still loading.
            NotChanged: it could not be written down.
        """
        unknown: list[str] = []

        def change(live: LiveBundle) -> LiveView:
            known = live.catch_up().row_of
            unknown.extend(item_id for item_id in dict.fromkeys(item_ids) if item_id not in known)
            return live.delete(item_ids)

        view = self._change(change)
        return AppliedChange(view.version, len(set(item_ids)) - len(unknown), unknown)

    def catch_up(self) -> None:
        """Take in what other processes have changed."""
        with self._lock:
            bundle = self._slot.peek()
            if bundle is not None and bundle.live is not None:
                bundle.live.catch_up()
                self._show(bundle)

    def tidy(self) -> None:
        """Give back the memory of versions that are not served any more and that no request holds any more."""
        with self._lock:
            gone = [reference for reference in self._former if reference() is None]
            self._former = [reference for reference in self._former if reference not in gone]
        if gone:
            give_back()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        self._watcher.join()

    def _change(self, change: Callable[[LiveBundle], LiveView]) -> LiveView:
        with self._lock:
            bundle = self._slot.take()
            if bundle.live is None:
                raise NotChanged("this bundle was not loaded with its log of changes")
            try:
                return change(bundle.live)
            except (GateFailed, OSError) as error:
                raise NotChanged(str(error)) from error
            finally:
                self._show(bundle)  # what others have changed is taken in even where our change fails

    def _show(self, bundle: ServedBundle) -> None:
        """Let requests see a bundle as it is by now."""
        live = bundle.live
        current = bundle if live is None or live.view.index is bundle.index else ServedBundle.of(live)
        if current is not self._slot.peek():
            self._slot.put(current)
            self._observer.serving(current.version, len(current.row_of))

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self.catch_up()
                self.tidy()
            except Exception:
                log.exception("the log of changes could not be read; trying again in %g s", self._seconds)
