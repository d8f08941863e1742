"""Streams of requests: how many may be open, and how they end when the server stops."""

from collections.abc import Iterator
from threading import Event, Lock

import grpc

from retrieval_server.api.errors import Stopping, TooBusy


class Streams:
    """The streams that are open.

    Args:
        limit: how many may be at once; each holds a thread.

    Attributes:
        stopping: set once they have to end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._open = 0
        self.stopping = Event()
        self._idle: set[grpc.ServicerContext] = set()

    def messages(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """The messages of a stream, until its end or the server's.

        Raises:
            TooBusy: too many streams are open.
            Stopping: the server stops.
        """
        with self._lock:
            if self._open >= self._limit:
                raise TooBusy(f"{self._limit} streams are open, the most there may be (streams)", "streams")
            self._open += 1
        try:
            while (message := self._next(messages, context)) is not None:
                yield message
        finally:
            with self._lock:
                self._open -= 1

    def stop(self) -> None:
        """End the streams: one that waits for its caller now, one that is being answered after that answer."""
        self.stopping.set()
        for context in tuple(self._idle):
            context.cancel()

    def _next(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        self._idle.add(context)  # before looking at the flag: whoever sets it later finds us here
        try:
            if self.stopping.is_set():
                raise Stopping
            return next(messages, None)
        finally:
            self._idle.discard(context)
