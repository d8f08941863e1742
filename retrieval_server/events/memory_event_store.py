"""Events in the memory of a server's only process: bounded, with a snapshot, whole again after a restart."""

import json
import logging
import zlib
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import astuple
from pathlib import Path
from threading import Lock
from typing import Any

from data_prep.config import require
from data_prep.files import read_json, write_json
from retrieval_server.events.event_log import read, segments
from retrieval_server.events.user_events import UserEvent

logger = logging.getLogger(__name__)

SNAPSHOT = "snapshot.json"
"""File beside the log: the store at a clean stop, so that a start reads only what came after."""


class MemoryStore:
    """Remembers the newest events of the users who did something last.

    Args:
        users: how many of them.
        events: how many of each.
        event_ids: how many ids are remembered, the newest, to recognise repetitions by.

    Raises:
        UsageError: one of them is below 1.
    """

    shared = False

    def __init__(self, users: int, events: int, event_ids: int) -> None:
        for name, value in {"users": users, "events": events, "event_ids": event_ids}.items():
            require(f"event_store.{name}", value, 1)
        self._users = users
        self._events = events
        self._event_ids = event_ids
        self._lock = Lock()
        self._of: OrderedDict[str, deque[UserEvent]] = OrderedDict()  # by user, who did something last at the end
        self._ids: OrderedDict[str, None] = OrderedDict()  # the newest at the end
        self._covered: dict[str, int] = {}  # how far each segment of earlier runs was read

    def open(self, log: Path) -> int:
        """Read the events of earlier runs: the snapshot, then what the log has beyond it."""
        self._load_snapshot(log / SNAPSHOT)
        skipped = 0
        for segment in segments(log):
            contents = read(segment, self._covered.get(segment.name, 0))
            self.append(contents.events)
            self._covered[segment.name] = contents.end
            skipped += contents.skipped
        return skipped

    def append(self, events: Sequence[UserEvent]) -> None:
        """Remember events, in their order; one whose id is known changes nothing."""
        with self._lock:
            for event in events:
                if event.event_id in self._ids:
                    continue
                self._ids[event.event_id] = None
                self._of.setdefault(event.user_id, deque(maxlen=self._events)).append(event)
                self._of.move_to_end(event.user_id)
            while len(self._ids) > self._event_ids:
                self._ids.popitem(last=False)
            while len(self._of) > self._users:
                self._of.popitem(last=False)

    def known(self, event_ids: Sequence[str]) -> Set[str]:
        """Which of these ids are remembered."""
        with self._lock:
            return {event_id for event_id in event_ids if event_id in self._ids}

    def recent(self, user_id: str) -> Sequence[UserEvent]:
        """A user's events, oldest first, whatever order they were recorded in."""
        with self._lock:
            events = list(self._of.get(user_id, ()))
        return sorted(events, key=lambda event: event.timestamp)

    def close(self, log: Path, written: Mapping[str, int]) -> None:
        """Write the snapshot: events read at the start and appended since."""
        content = {
            "covered": self._covered | dict(written),
            "event_ids": list(self._ids),
            "users": [[user_id, [astuple(event) for event in events]] for user_id, events in self._of.items()],
        }
        write_json(log / SNAPSHOT, {"crc32": _checksum(content), "content": content})

    def _load_snapshot(self, path: Path) -> None:
        """Read a snapshot, unless there is none or it is damaged: then the whole log is read."""
        try:
            snapshot = read_json(path)
            content = snapshot["content"]
            if _checksum(content) != snapshot["crc32"]:
                raise ValueError("its checksum is wrong")
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("%s is damaged (%s): the whole log is read instead", path, error)
            return
        self._ids = OrderedDict.fromkeys(content["event_ids"])
        self._of = OrderedDict(
            (user_id, deque((UserEvent(*event) for event in events), maxlen=self._events))
            for user_id, events in content["users"]
        )
        self._covered = content["covered"]


def _checksum(content: Any) -> int:
    return zlib.crc32(json.dumps(content).encode())
