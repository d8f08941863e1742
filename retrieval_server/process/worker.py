"""One of several processes that share a port: it obeys the supervisor's messages over a pipe."""

import logging
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock

from data_prep.errors import CommandError, ExitCode
from retrieval_server.api.errors import NotReady, SwapRefused, SwapUnderWay
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.bundles.swapping import SwapResult, require_name
from retrieval_server.config import ServeConfig
from retrieval_server.process.lifecycle import drain, leave
from retrieval_server.process.messages import (
    BundlePrepared,
    Commit,
    Discard,
    Drained,
    Failed,
    Prepare,
    Ready,
    Serve,
    Stop,
    SwapOutcome,
    SwapRequested,
)
from retrieval_server.process.serve import LoadedBundle
from retrieval_server.runtime.escaping import log_one_line_each
from retrieval_server.runtime.memory import give_back, settle
from retrieval_server.runtime.threads import limit_process
from retrieval_server.transport.server import RetrievalServer


class RemoteSwaps:
    """Passes an operator's swap on to the supervisor, who swaps in all workers or in none.

    Args:
        pipe: to the supervisor.

    Attributes:
        previous: as of the last swap.
        count: of swaps, as of the last one.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = Lock()
        self._lock = Lock()
        self._outcomes: SimpleQueue[SwapOutcome] = SimpleQueue()
        self.serving = False
        self.previous = ""
        self.count = 0

    def swap(self, version: str) -> SwapResult:
        """Serve another version, everywhere."""
        require_name(version)
        return self._request(SwapRequested(version))

    def rollback(self) -> SwapResult:
        """Serve the version before the last swap, everywhere."""
        return self._request(SwapRequested(None))

    def send(self, message: object) -> None:
        """Send to the supervisor, one message at a time."""
        with self._sending:
            self._pipe.send(message)

    def settle(self, outcome: SwapOutcome) -> None:
        """Hand over the outcome of a swap that was asked for."""
        self._outcomes.put(outcome)

    def _request(self, request: SwapRequested) -> SwapResult:
        if not self.serving:
            raise NotReady
        if not self._lock.acquire(blocking=False):
            raise SwapUnderWay
        try:
            self.send(request)
            outcome = self._outcomes.get()
        finally:
            self._lock.release()
        if outcome.under_way:
            raise SwapUnderWay
        if outcome.swapped is None:
            raise SwapRefused(outcome.version, outcome.refusal)
        return outcome.swapped


def work(config: ServeConfig, pipe: Connection) -> None:
    """A worker's life; the process ends with it.

    Args:
        config: of this worker, with a port for metrics of its own.
        pipe: to the supervisor; when that is gone, so is the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the supervisor decides
    logging.basicConfig(level=logging.INFO)
    log_one_line_each(config.json_log)
    limit_process(config.threads)
    swaps = RemoteSwaps(pipe)
    try:
        server = RetrievalServer(config, swaps)
        server.start()
        settle()
        prepared = [server.load(config.bundle.resolve())]
    except CommandError as error:
        swaps.send(Failed(error))
        leave(error.exit_code)
    swaps.send(Ready(LoadedBundle.of(server, prepared[0]), server.address))
    _obey(server, swaps, prepared, pipe)
    finished = drain(server, config.lame_duck_seconds, config.grace_seconds)
    server.close()
    with suppress(OSError):  # the supervisor is gone: nobody wants to know
        swaps.send(Drained(finished))
    leave(ExitCode.OK if finished else ExitCode.GATE_FAILED)


def _obey(server: RetrievalServer, swaps: RemoteSwaps, prepared: list[ServedBundle], pipe: Connection) -> None:
    """Obey the supervisor's messages until it says to stop, or is gone.

    Args:
        server: of this process.
        swaps: passes messages to the supervisor.
        prepared: the bundle that is loaded and not served yet, if there is one.
        pipe: of the supervisor's messages.
    """
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        match message:
            case Serve():
                server.serve(prepared.pop())
                swaps.serving = True
            case Prepare(folder):
                prepared.clear()  # in case nobody could say that another one's death had ended the swap before
                try:
                    prepared.append(server.load(folder))
                    swaps.send(BundlePrepared(folder, prepared[0].version, ""))
                except CommandError as error:
                    server.observer.swapped("refused")
                    swaps.send(BundlePrepared(folder, "", str(error)))
            case Commit(previous, count):
                server.swap(prepared.pop())
                swaps.previous, swaps.count = previous, count
            case Discard():
                prepared.clear()
                give_back()
            case SwapOutcome():
                swaps.settle(message)
            case Stop():
                return
