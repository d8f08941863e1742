"""The worker processes of one server: started, swapped together, started again when one dies, stopped."""

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import TypeVar

from data_prep.errors import CommandError, GateFailed
from retrieval_server.api.errors import CallError
from retrieval_server.bundles.swapping import Swapper
from retrieval_server.config import ServeConfig
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
from retrieval_server.process.worker import work

log = logging.getLogger(__name__)

Message = TypeVar("Message")


@dataclass(eq=False)
class WorkerProcess:
    """A process and the pipe to it.

    Attributes:
        number: of the process among them, from 0.
        process: the process.
        pipe: to it.
        serving: whether it answers calls.
    """

    number: int
    process: BaseProcess
    pipe: Connection
    serving: bool = False


class Fleet:
    """Workers that share a port.

    Args:
        config: of each.
        on_end: called when no worker is left.
    """

    def __init__(self, config: ServeConfig, on_end: Callable[[], None]) -> None:
        self._config = config
        self._on_end = on_end
        self._folder = config.bundle.resolve()
        self._workers: list[WorkerProcess] = []
        self._swapper = Swapper(config.bundle, lambda: self._folder.name, self._put)
        self._waker, self._woken = multiprocessing.Pipe()
        self._listener = Thread(target=self._listen, name="fleet", daemon=True)

    def start(self) -> Sequence[Ready]:
        """Start every worker, and have all serve once all are ready.

        Raises:
            CommandError: one cannot.
        """
        for number in range(self._config.workers):
            self._workers.append(self._spawn(number))
        ready = [self._expect(worker, Ready) for worker in self._workers]
        for worker in self._workers:
            self._begin(worker)
        self._listener.start()
        return ready

    def stop(self) -> bool:
        """Have every worker drain; whether all answered every call in flight."""
        self._waker.send(None)
        self._listener.join()
        if not self._workers:
            return False
        finished = True
        for worker in self._workers:
            with suppress(OSError):
                worker.pipe.send(Stop())
        for worker in self._workers:
            try:
                finished &= self._expect(worker, Drained).finished
            except CommandError:
                finished = False
            worker.process.join()
        return finished

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()

    def _spawn(self, number: int) -> WorkerProcess:
        # Spawned, not forked: a fork after a search with threads hangs in its own first search.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        metrics = self._config.metrics
        port = metrics.port + number if metrics.port else metrics.port
        core = None if self._config.core is None else self._config.core + number
        config = replace(self._config, bundle=self._folder, core=core, metrics=replace(metrics, port=port))
        process = context.Process(target=work, args=(config, theirs), name=f"worker-{number}")
        process.start()
        theirs.close()
        return WorkerProcess(number, process, ours)

    def _begin(self, worker: WorkerProcess) -> None:
        with suppress(OSError):  # it has died, which the listener will see
            worker.pipe.send(Serve())
        worker.serving = True

    def _listen(self) -> None:
        """Carry out the swaps asked for and replace the dead until woken."""
        while True:
            ready = wait([self._woken, *(worker.pipe for worker in self._workers)])
            if self._woken in ready:
                return
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):
                    self._bury(worker)
                    continue
                match message:
                    case SwapRequested():
                        self._swap_for(worker, message)
                    case Ready():
                        self._begin(worker)
                    case Failed(error):
                        log.error("worker %d cannot start again: %s", worker.number, error)

    def _bury(self, worker: WorkerProcess) -> None:
        """Take note of a death; whoever had served is started again, whoever had not would only die again."""
        worker.process.join()
        self._workers.remove(worker)
        log.error("worker %d ended with code %s", worker.number, worker.process.exitcode)
        if worker.serving:
            self._workers.append(self._spawn(worker.number))
        elif not self._workers:
            self._on_end()

    def _swap_for(self, worker: WorkerProcess, request: SwapRequested) -> None:
        try:
            result = self._swapper.rollback() if request.version is None else self._swapper.swap(request.version)
            outcome = SwapOutcome(result, "", "", under_way=False)
        except CallError as error:
            outcome = SwapOutcome(None, request.version or "", str(error), under_way=False)
        with suppress(OSError):
            worker.pipe.send(outcome)

    def _put(self, folder: Path) -> str:
        """Have all workers load a bundle, and then all serve it; if one cannot, none does."""
        if not all(worker.serving for worker in self._workers):
            raise GateFailed("a worker is being started again; try in a moment")
        before = self._folder.name
        try:
            for worker in self._workers:
                self._send(worker, Prepare(folder))
            prepared = [self._prepared(worker, folder) for worker in self._workers]
            if faults := [answer.fault for answer in prepared if answer.fault]:
                raise GateFailed(faults[0])
        except CommandError:
            for worker in self._workers:
                with suppress(OSError):
                    worker.pipe.send(Discard())
            raise
        self._folder = folder
        for worker in self._workers:
            with suppress(OSError):  # it has died: the one in its place starts with the new version
                worker.pipe.send(Commit(before, self._swapper.count + 1))
        return prepared[0].version

    def _send(self, worker: WorkerProcess, message: object) -> None:
        """Send to a worker.

        Raises:
            GateFailed: it died.
        """
        try:
            worker.pipe.send(message)
        except OSError as error:
            raise GateFailed(f"worker {worker.number} died") from error

    def _prepared(self, worker: WorkerProcess, folder: Path) -> BundlePrepared:
        """The answer to loading a folder; answers left from a swap that another's death ended are passed over.

        Raises:
            CommandError: the worker died.
        """
        while True:
            answer = self._expect(worker, BundlePrepared)
            if answer.folder == folder:
                return answer

    def _expect(self, worker: WorkerProcess, kind: type[Message]) -> Message:
        """The next message of a kind. Swaps asked for meanwhile are refused: a swap, or the end, is under way.

        Raises:
            CommandError: the worker cannot start, or died.
        """
        while True:
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError) as error:
                raise GateFailed(f"worker {worker.number} died") from error
            if isinstance(message, kind):
                return message
            if isinstance(message, Failed):
                raise message.error
            with suppress(OSError):
                worker.pipe.send(SwapOutcome(None, "", "", under_way=True))
