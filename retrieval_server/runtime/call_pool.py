"""Threads that work on calls, and when they have worked all of them off."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import Any

from retrieval_server.runtime.threads import limit_threads


class CallPool(ThreadPoolExecutor):
    """Threads that work on calls, with a count of the calls that they have not finished.

    Args:
        count: how many.
        name: what they are called.
        threads: threads that each of them may use inside the models.
        limit: what each does first.
    """

    def __init__(self, count: int, name: str, threads: int, limit: Callable[[int], None] = limit_threads) -> None:
        super().__init__(count, name, initializer=limit, initargs=(threads,))
        self._unfinished = 0
        self._changed = Condition()

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call worked on as soon as a thread is free."""
        self._count(1)
        future = super().submit(call, *args, **kwargs)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until every call is finished, those that wait for a thread included; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unfinished == 0, max(seconds, 0.0))

    def _count(self, change: int) -> None:
        with self._changed:
            self._unfinished += change
            if self._unfinished == 0:
                self._changed.notify_all()
