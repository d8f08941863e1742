"""How the process ends: the first signal asks, the second insists."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from data_prep.command import ExitCode

if TYPE_CHECKING:  # the command takes the signals over before it loads what a server is made of
    from retrieval_server.transport.server import RetrievalServer

log = logging.getLogger(__name__)


class StopSignals:
    """SIGTERM and SIGINT (Ctrl-C), of which the first ends the process in order and the second at once.

    As long as nobody is being served the first one raises `SystemExit` or `KeyboardInterrupt` wherever the main
    thread is; after `defer` it is kept for `wait`.
    """

    def __init__(self) -> None:
        # Putting into a SimpleQueue is safe in a signal handler that interrupted the same queue's get.
        self._received: SimpleQueue[signal.Signals] = SimpleQueue()
        self._meant: BaseException | None = None
        self._deferred = False

    def install(self) -> None:
        """Take the two signals over. Only the main thread may."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def defer(self) -> None:
        """Keep signals for `wait` from now on: to be called before the first call is answered."""
        self._deferred = True

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Have what a signal raises in this block leave it, also where a library made a failure of its own out of it.

        An import that is cut short ends in an ImportError, for one.
        """
        try:
            yield
        except BaseException as error:
            if self._meant is None or self._deferred or error is self._meant:
                raise
            raise self._meant from error

    def wait(self) -> signal.Signals:
        """Sleep until one of them comes, or has come since `defer`."""
        return self._received.get()

    def end(self) -> None:
        """Have `wait` return as if SIGTERM had come."""
        self._received.put(signal.SIGTERM)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._meant is not None:
            os._exit(ExitCode.INTERRUPTED)
        self._meant = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(ExitCode.OK)
        self._received.put(signal.Signals(number))
        if not self._deferred:
            raise self._meant


def drain(server: "RetrievalServer", lame_duck_seconds: float, grace_seconds: float) -> bool:
    """Stop a server without losing a call that it has accepted.

    Health says NOT_SERVING first. Calls are still taken for a while, so that whoever watches health can turn away;
    then new ones are refused with UNAVAILABLE, and those in flight finish or, at the end of the grace, are cut off.
    The connections end last, when nothing is in flight any more.

    Args:
        server: the server to stop.
        lame_duck_seconds: how long calls are still taken.
        grace_seconds: time for everything.

    Returns:
        whether all calls in flight finished.
    """
    started = time.monotonic()
    server.say_stopping()
    log.info("stopping: health says NOT_SERVING, calls are taken for %g s more", lame_duck_seconds)
    time.sleep(lame_duck_seconds)
    deadline = time.monotonic() + grace_seconds - lame_duck_seconds
    server.turn_away()
    idle = server.wait_until_idle(deadline - time.monotonic())
    remaining = max(deadline - time.monotonic(), 0.0)
    # At the deadline gRPC cuts calls off and then reports that it has stopped: too late is not finished.
    finished = server.stop(remaining).wait(remaining) and idle and time.monotonic() < deadline
    log.info(
        "stopped in %.1f s: %s",
        time.monotonic() - started,
        "every call in flight was answered" if finished else "calls still in flight were cut off",
    )
    return finished


def leave(code: ExitCode) -> NoReturn:
    """End the process without the interpreter's tidying up.

    With torch and transformers loaded that takes one to three seconds, which a supervisor's patience is not for, and
    it would wait for the handlers of calls that were cut off. Nothing is left to write but the log.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
