"""A cache of recalls: what many ask at the same time is computed once, and kept for a little while."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import TIMEOUT_MAX, Lock
from typing import Generic, TypeVar

from retrieval_server.api.budget import Budget
from retrieval_server.api.errors import Expired

Value = TypeVar("Value")


class HotCache(Generic[Value]):
    """Keeps the values that were asked for last, each for a bounded time; one computation serves all who wait for it.

    A key holds everything that a value depends on, the bundle's version first, so nothing ever has to be thrown out.

    Args:
        entries: how many values, 0 to keep none.
        seconds: how long each.
        on_lookup: is called with each lookup's outcome: "hit", "miss", or "joined" for one under way.
    """

    def __init__(self, entries: int, seconds: float, on_lookup: Callable[[str], None]) -> None:
        self._entries = entries
        self._seconds = seconds
        self._on_lookup = on_lookup
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()  # who was asked for last at the end
        self._under_way: dict[Hashable, Future[Value]] = {}

    def get(self, key: Hashable, compute: Callable[[], Value], budget: Budget) -> Value:
        """The value of a key, kept or computed. An error is nobody's but the caller's who met it, and is not kept.

        Raises:
            Expired: the caller's deadline passed while somebody else was computing.
            Exception: whatever computing raises.
        """
        if not self._entries:
            return compute()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] > time.monotonic():
                self._kept.move_to_end(key)
                self._on_lookup("hit")
                return kept[1]
            other = self._under_way.get(key)
            future: Future[Value] = Future()
            if other is None:
                self._under_way[key] = future
        if other is not None:
            return self._joined(other, compute, budget)
        self._on_lookup("miss")
        return self._computed(key, future, compute)

    def _joined(self, other: Future[Value], compute: Callable[[], Value], budget: Budget) -> Value:
        self._on_lookup("joined")
        try:
            error = other.exception(timeout=min(max(budget.patience(), 0.0), TIMEOUT_MAX))
        except TimeoutError:
            raise Expired from None
        return compute() if error is not None else other.result()

    def _computed(self, key: Hashable, future: Future[Value], compute: Callable[[], Value]) -> Value:
        try:
            value = compute()
        except BaseException as error:
            with self._lock:
                del self._under_way[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._under_way[key]
            self._kept[key] = (time.monotonic() + self._seconds, value)
            self._kept.move_to_end(key)
            if len(self._kept) > self._entries:
                self._kept.popitem(last=False)
        future.set_result(value)
        return value
