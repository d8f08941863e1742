"""Events of users since the bundle was built, and the interface of a store of events."""

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval_server.retrieval.v1.retrieval_pb2 import RecordEventsRequest


@dataclass(frozen=True)
class UserEvent:
    """One interaction.

    Attributes:
        event_id: the caller's name for it, by which a repetition is recognised.
        user_id: who.
        item_id: with what.
        event: how ("view", "cart", "purchase", …), "" when not said.
        timestamp: when, seconds since 1970 UTC.
    """

    event_id: str
    user_id: str
    item_id: str
    event: str
    timestamp: float


class StoreUnavailable(Exception):
    """The store cannot be reached; an answer does without it."""


def events_of(request: RecordEventsRequest) -> Sequence[UserEvent]:
    """The events of a checked request. One without a time happened now."""
    now = time.time()
    return [
        UserEvent(event.event_id, event.user_id, event.item_id, event.event, event.timestamp or now)
        for event in request.events
    ]


class EventStore(Protocol):
    """Store of users' recent events. Safe to use from several threads.

    `MemoryStore` and `RedisStore` are two. Each raises `StoreUnavailable` when it cannot do what it should.
    """

    @property
    def shared(self) -> bool:
        """Whether several server processes see the same events."""
        ...

    def open(self, log: Path) -> int:
        """Begin, with the events that the log of earlier runs has.

        Args:
            log: folder of the event log.

        Returns:
            how many damaged lines of the log were skipped.
        """
        ...

    def append(self, events: Sequence[UserEvent]) -> None:
        """Remember events, in their order; one whose id is known changes nothing."""
        ...

    def known(self, event_ids: Sequence[str]) -> Set[str]:
        """Which of these ids are remembered."""
        ...

    def recent(self, user_id: str) -> Sequence[UserEvent]:
        """A user's events, oldest first."""
        ...

    def close(self, log: Path, written: Mapping[str, int]) -> None:
        """End in order: nothing is appended any more.

        Args:
            log: folder of the event log.
            written: segments of it that hold the appended events, and their sizes in bytes.
        """
        ...
