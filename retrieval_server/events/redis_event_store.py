"""Events in a Redis server, which several processes share."""

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

from data_prep.config import require
from data_prep.errors import UsageError
from retrieval_server.events.user_events import StoreUnavailable, UserEvent

EVENTS = "twotower:events:"
"""Prefix of the keys that hold a user's events, a list of JSON, newest at the end."""

SEEN = "twotower:event:"
"""Prefix of the keys that say an event id is known."""

APPEND = """
local count = #ARGV - 3
for number = 1, count do
    if redis.call('SET', KEYS[2 * number], '1', 'NX', 'EX', ARGV[count + 3]) then
        redis.call('RPUSH', KEYS[2 * number - 1], ARGV[number])
        redis.call('LTRIM', KEYS[2 * number - 1], -tonumber(ARGV[count + 1]), -1)
        redis.call('EXPIRE', KEYS[2 * number - 1], ARGV[count + 2])
    end
end
"""
"""Appends each event whose id is new. A script is one step to everybody else, so two repetitions cannot both be new."""

Result = TypeVar("Result")


class RedisStore:
    """Remembers the newest events of every user for a while.

    Args:
        url: `redis://host:port/database`, or `rediss://` over TLS.
        events: how many of each user.
        keep_seconds: how long after a user's last event.
        repeat_seconds: how long an event id is remembered, to recognise a repetition by.
        timeout_seconds: how long to wait for an answer.
        pause_seconds: how long a server that did not answer is left alone.

    Raises:
        UsageError: one of the numbers makes no sense, or the package `redis` is not installed.
    """

    shared = True

    def __init__(
        self,
        url: str,
        events: int,
        keep_seconds: int,
        repeat_seconds: int,
        timeout_seconds: float,
        pause_seconds: float,
    ) -> None:
        for name, value in {"events": events, "keep_seconds": keep_seconds, "repeat_seconds": repeat_seconds}.items():
            require(f"event_store.{name}", value, 1)
        try:
            import redis
        except ImportError as error:
            raise UsageError("event_store=redis needs the package redis: pip install 'twotower[redis]'") from error
        self._errors = redis.RedisError
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        )
        self._append = self._client.register_script(APPEND)
        self._limits = (events, keep_seconds, repeat_seconds)
        self._pause = pause_seconds
        self._quiet_until = 0.0

    def open(self, log: Path) -> int:
        """Read nothing, and so skip nothing: Redis keeps its events."""
        return 0

    def append(self, events: Sequence[UserEvent]) -> None:
        """Remember events, in their order; one whose id is known changes nothing."""
        if not events:
            return
        keys: list[str] = []
        values: list[str] = []
        for event in events:
            keys += (EVENTS + event.user_id, SEEN + event.event_id)
            values.append(json.dumps(astuple(event)))
        self._call(lambda: self._append(keys=keys, args=[*values, *self._limits]))

    def known(self, event_ids: Sequence[str]) -> Set[str]:
        """Which of these ids are remembered."""
        if not event_ids:
            return set()
        values = self._call(lambda: self._client.mget([SEEN + event_id for event_id in event_ids]))
        return {event_id for event_id, value in zip(event_ids, values, strict=True) if value is not None}

    def recent(self, user_id: str) -> Sequence[UserEvent]:
        """A user's events, oldest first, whatever order they were recorded in."""
        values = self._call(lambda: self._client.lrange(EVENTS + user_id, 0, -1))
        return sorted((UserEvent(*json.loads(value)) for value in values), key=lambda event: event.timestamp)

    def close(self, log: Path, written: Mapping[str, int]) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, command: Callable[[], Result]) -> Result:
        if time.monotonic() < self._quiet_until:
            raise StoreUnavailable("redis did not answer a moment ago")
        try:
            return command()
        except self._errors as error:
            self._quiet_until = time.monotonic() + self._pause
            raise StoreUnavailable(f"redis: {error}") from error
