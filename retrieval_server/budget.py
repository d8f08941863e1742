"""How long a request may still take, and what its stages took: looked at before every stage, so none is run in vain."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from retrieval_server.errors import CallerGone, Expired

SENDING = 0.002
"""Seconds set aside for packing and sending an answer."""


class Budget:
    """One request's time. Made when the request is begun; durations are the monotonic clock's.

    Args:
        seconds: what the answer may take; what does not fit is left out of it.
        deadline: seconds until the caller stops waiting, after which there is no use in any answer.
        waiting: whether the caller is still there.

    Attributes:
        timings: seconds that each stage took so far, in the order they were begun.
    """

    def __init__(
        self, seconds: float = math.inf, deadline: float = math.inf, waiting: Callable[[], bool] = lambda: True
    ) -> None:
        now = time.monotonic()
        self._ends = now + min(seconds, deadline) - SENDING
        self._deadline = now + deadline
        self._waiting = waiting
        self.timings: dict[str, float] = {}

    def remaining(self) -> float:
        """Seconds left for optional work; not above 0 when there are none."""
        return self._ends - time.monotonic()

    def patience(self) -> float:
        """Seconds until the caller stops waiting."""
        return self._deadline - time.monotonic()

    def require(self) -> None:
        """Go on only if somebody waits for the answer.

        Raises:
            CallerGone: they hung up.
            Expired: their deadline has passed.
        """
        if self.patience() <= 0:
            raise Expired
        if not self._waiting():
            raise CallerGone

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run a stage, if somebody still waits for what it makes, and note what it took.

        Raises:
            CallerGone: they hung up.
            Expired: their deadline has passed.
        """
        self.require()
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.monotonic() - started
