"""Events on their way in: into the log first, then into the store, each once."""

import logging
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from retrieval_server.api.errors import NotRecorded
from retrieval_server.events.event_log import EventLog, LogUnavailable
from retrieval_server.events.user_events import EventStore, StoreUnavailable, UserEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedCounts:
    """Numbers of new and of repeated events.

    Attributes:
        recorded: how many are new.
        repeated: how many were recorded before.
    """

    recorded: int
    repeated: int


class Recorder:
    """Records events, and gives the recent ones of a user.

    Args:
        store: of the recent events, in memory or shared.
        log: of all events, on the disk.

    Attributes:
        store: as given.
        log: as given.
        skipped: damaged lines of the log, torn by a kill or worse, that were skipped at the start.
    """

    def __init__(self, store: EventStore, log: EventLog) -> None:
        self.store = store
        self.log = log
        self._under_way: set[str] = set()
        self._settled = Condition()
        self.skipped = store.open(log.folder)
        if self.skipped:
            logger.warning("%s: %d damaged lines were skipped", log.folder, self.skipped)

    def record(self, events: Sequence[UserEvent]) -> RecordedCounts:
        """Record events; on return they are in the log, as safe as it promises, and in the store.

        Args:
            events: in the order they happened; one whose id is known counts as a repetition.

        Raises:
            NotRecorded: log or store failed. Sending the same events again records none twice.
        """
        first = {event.event_id: event for event in reversed(events)}
        try:
            with self._alone_with(first.keys()):
                known = self.store.known(list(first))
                fresh = [event for event in events if first[event.event_id] is event and event.event_id not in known]
                self.log.append(fresh)
                self.store.append(fresh)
        except (LogUnavailable, StoreUnavailable) as error:
            raise NotRecorded(str(error)) from error
        return RecordedCounts(len(fresh), len(events) - len(fresh))

    def recent(self, user_id: str) -> Sequence[UserEvent]:
        """A user's recent events, oldest first.

        Raises:
            StoreUnavailable: they cannot be had.
        """
        return self.store.recent(user_id)

    def close(self) -> None:
        """End in order: everything on the disk, nothing left to read twice."""
        self.log.close()
        self.store.close(self.log.folder, self.log.written)

    @contextmanager
    def _alone_with(self, event_ids: Set[str]) -> Iterator[None]:
        """Keep a repetition waiting while its event is under way: it is acknowledged when that one is, not before."""
        with self._settled:
            self._settled.wait_for(lambda: not self._under_way & event_ids)
            self._under_way |= event_ids
        try:
            yield
        finally:
            with self._settled:
                self._under_way -= event_ids
                self._settled.notify_all()
