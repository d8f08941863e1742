"""Admission: with more calls waiting less is done for each, and what still does not fit is refused at once."""

import math
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any

from retrieval_server.api.budget import Pressure
from retrieval_server.api.errors import CallError, TooBusy
from retrieval_server.runtime.call_pool import CallPool


class Handlers(CallPool):
    """The threads that work on calls, with a count of the calls that wait for one.

    Args:
        count: how many.
        threads: threads that each of them may use inside the models.

    Attributes:
        count: as given.
        waiting: calls that wait.
    """

    def __init__(self, count: int, threads: int) -> None:
        super().__init__(count, "handler", threads)
        self.count = count
        self.waiting = 0
        self._waiting_lock = Lock()

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call worked on as soon as a thread is free."""

        def run() -> Any:
            self._change_waiting(-1)
            return call(*args, **kwargs)

        self._change_waiting(1)
        return super().submit(run)

    def _change_waiting(self, change: int) -> None:
        with self._waiting_lock:
            self.waiting += change


class Admission:
    """Says from the length of the queue what there is time for.

    Calls are worked on in the order they came, so one with w calls for each handler before it takes about w + 1 times
    as long as alone. That is what the bounds are in.

    Args:
        handlers: that calls wait for.
        degrade_at: calls waiting for each handler from which on answers are cut down.
        refuse_at: calls waiting for each handler from which on calls are refused.
    """

    def __init__(self, handlers: Handlers, degrade_at: float, refuse_at: float) -> None:
        self._handlers = handlers
        self._degrade_at = degrade_at
        self._refuse_at = refuse_at
        most = math.ceil(refuse_at * handlers.count)
        # One for all: where many are refused, saying so must cost little.
        self._too_busy = TooBusy(
            f"{most} calls or more are waiting for {handlers.count} handlers", "admission.refuse_at"
        )

    def refusal(self) -> CallError | None:
        """Why one more call cannot be taken on, None when it can."""
        return self._too_busy if self._handlers.waiting >= self._refuse_at * self._handlers.count else None

    def pressure(self) -> Pressure:
        """Pressure on an answer begun now: it does without reranking first, half way on without half of the search."""
        waiting = self._handlers.waiting / self._handlers.count
        if waiting < self._degrade_at:
            return Pressure.NONE
        halfway = (self._degrade_at + self._refuse_at) / 2
        return Pressure.NO_RERANK if waiting < halfway else Pressure.LESS_SEARCH
