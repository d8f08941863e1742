"""What users did since the bundle was built: one event, and the interface of what remembers events."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class UserEvent:
    """One interaction.

    Attributes:
        event_id: the caller's name for it, by which a repetition is told.
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


class EventStore(Protocol):
    """Remembers what users did. Safe to use from several threads.

    `MemoryStore` and `RedisStore` are two. Each raises `StoreUnavailable` when it cannot do what it should.
    """

    @property
    def shared(self) -> bool:
        """Whether several server processes see the same events."""
        ...

    def open(self, log: Path) -> int:
        """Begin, with what the log of earlier runs has.

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
        """What somebody did, oldest first."""
        ...

    def close(self, log: Path, written: Mapping[str, int]) -> None:
        """End in order: nothing is appended any more.

        Args:
            log: folder of the event log.
            written: segments of it that hold what was appended, and their sizes in bytes.
        """
        ...
