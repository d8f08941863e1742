"""One of several processes that share a port: it does what the supervisor says over a pipe."""

import logging
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from data_prep.errors import CommandError, ExitCode
from retrieval_server.api.errors import NotReady, SwapRefused, SwapUnderWay
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.bundles.swapping import Swapped, require_name
from retrieval_server.config import ServeConfig
from retrieval_server.process.lifecycle import drain, leave
from retrieval_server.process.serve import Loaded
from retrieval_server.runtime.escaping import log_one_line_each
from retrieval_server.runtime.memory import give_back, settle
from retrieval_server.runtime.threads import limit_process
from retrieval_server.transport.server import RetrievalServer


@dataclass(frozen=True)
class Serve:
    """To a worker: answer from what you have loaded."""


@dataclass(frozen=True)
class Prepare:
    """To a worker: load the bundle in a folder; answer `Prepared`."""

    folder: Path


@dataclass(frozen=True)
class Commit:
    """To a worker: serve what you have prepared."""

    previous: str
    swaps: int


@dataclass(frozen=True)
class Discard:
    """To a worker: forget what you have prepared; another could not."""


@dataclass(frozen=True)
class Stop:
    """To a worker: drain and end."""


@dataclass(frozen=True)
class Outcome:
    """To a worker: what became of the swap that an operator asked it for."""

    swapped: Swapped | None
    version: str
    refusal: str
    under_way: bool


@dataclass(frozen=True)
class Ready:
    """From a worker: loaded and warm."""

    loaded: Loaded
    address: str


@dataclass(frozen=True)
class Prepared:
    """From a worker: the bundle in a folder is ready, or `fault` says why not."""

    folder: Path
    version: str
    fault: str


@dataclass(frozen=True)
class Failed:
    """From a worker: it cannot start."""

    error: CommandError


@dataclass(frozen=True)
class Wish:
    """From a worker: an operator asks for a version, None for the one before."""

    version: str | None


@dataclass(frozen=True)
class Drained:
    """From a worker: stopped, and whether every call in flight was answered."""

    finished: bool


class RemoteSwapping:
    """Passes an operator's wish on to the supervisor, who swaps in all workers or in none.

    Args:
        pipe: to the supervisor.

    Attributes:
        previous: as of the last swap.
        swaps: as of the last swap.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._saying = Lock()
        self._lock = Lock()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self.serving = False
        self.previous = ""
        self.swaps = 0

    def swap(self, version: str) -> Swapped:
        """Serve another version, everywhere."""
        require_name(version)
        return self._asked(Wish(version))

    def rollback(self) -> Swapped:
        """Serve the version before the last swap, everywhere."""
        return self._asked(Wish(None))

    def say(self, message: object) -> None:
        """Send to the supervisor, one message at a time."""
        with self._saying:
            self._pipe.send(message)

    def tell(self, outcome: Outcome) -> None:
        """Hand over what became of a wish."""
        self._outcomes.put(outcome)

    def _asked(self, wish: Wish) -> Swapped:
        if not self.serving:
            raise NotReady
        if not self._lock.acquire(blocking=False):
            raise SwapUnderWay
        try:
            self.say(wish)
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
        config: what to serve and where, the port and the metrics' port this worker's own.
        pipe: to the supervisor; when that is gone, so is the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes; the supervisor says what to do
    logging.basicConfig(level=logging.INFO)
    log_one_line_each(config.json_log)
    limit_process(config.threads)
    swapping = RemoteSwapping(pipe)
    try:
        server = RetrievalServer(config, swapping)
        server.start()
        settle()
        prepared = [server.load(config.bundle.resolve())]
    except CommandError as error:
        swapping.say(Failed(error))
        leave(error.exit_code)
    swapping.say(Ready(Loaded.of(server, prepared[0]), server.address))
    _obey(server, swapping, prepared, pipe)
    finished = drain(server, config.lame_duck_seconds, config.grace_seconds)
    server.close()
    with suppress(OSError):  # the supervisor is gone: nobody wants to know
        swapping.say(Drained(finished))
    leave(ExitCode.OK if finished else ExitCode.GATE_FAILED)


def _obey(server: RetrievalServer, swapping: RemoteSwapping, prepared: list[ServedBundle], pipe: Connection) -> None:
    """Do what the supervisor says until it says to stop, or is gone.

    Args:
        server: what it is said to.
        swapping: speaks to the supervisor.
        prepared: the bundle that is loaded and not served yet, if there is one.
        pipe: where the supervisor speaks.
    """
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        match message:
            case Serve():
                server.serve(prepared.pop())
                swapping.serving = True
            case Prepare(folder):
                prepared.clear()  # in case nobody could say that another one's death had ended the swap before
                try:
                    prepared.append(server.load(folder))
                    swapping.say(Prepared(folder, prepared[0].version, ""))
                except CommandError as error:
                    server.observer.swapped("refused")
                    swapping.say(Prepared(folder, "", str(error)))
            case Commit(previous, swaps):
                server.swap(prepared.pop())
                swapping.previous, swapping.swaps = previous, swaps
            case Discard():
                prepared.clear()
                give_back()
            case Outcome():
                swapping.tell(message)
            case Stop():
                return
