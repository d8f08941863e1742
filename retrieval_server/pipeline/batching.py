"""Calls that come at the same time computed in one go: a batch of eight costs far less than eight of one."""

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import TIMEOUT_MAX, Condition, Lock
from typing import Generic, TypeVar

from retrieval_server.api.budget import Budget
from retrieval_server.api.errors import CallError, Expired

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(eq=False)
class _QueuedJob(Generic[Job, Result]):
    """A job in the queue, and later its result.

    Each has a lock of its own to sleep on, so that whoever is woken is woken for a reason.

    Attributes:
        asleep: held until the job is done, or its thread is to compute.
        leads: whether its thread is to compute.
    """

    kind: Hashable
    job: Job
    budget: Budget
    asleep: Lock = field(default_factory=Lock)
    leads: bool = False
    result: Result | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.asleep.acquire()


class MicroBatcher(Generic[Job, Result]):
    """Gathers jobs while a batch is being computed, and computes what has gathered as the next one.

    There is no thread of its own: whoever finds nothing being computed does it, for itself and for those who wait, and
    hands the turn to the one who has waited longest. After a batch there is a window in which a job of its kind waits
    for company, the longer the larger that batch was: while its answers are packed and sent others come, and those who
    have theirs ask again. So a lone job is not handed about, and the more there is to do the larger batches become.
    Nobody queues who does not hold a worker, which bounds the queue.

    Args:
        compute: results of some jobs of one kind, in their order.
        largest: jobs of one batch at most.
        window_seconds: how long after a batch to wait for company, for each job it had; less where a job would be late.
        on_batch: is called with every batch's size.

    Attributes:
        queue: jobs that wait.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Job]], Sequence[Result]],
        largest: int,
        window_seconds: float,
        on_batch: Callable[[int], None],
    ) -> None:
        self._compute = compute
        self._largest = largest
        self._window_of_one = window_seconds
        self._on_batch = on_batch
        self._state = Condition(Lock())  # only who waits for company within the window waits on it
        self._busy = False
        self.queue: list[_QueuedJob[Job, Result]] = []
        self._pace = 0.0  # seconds that the last batch took
        self._window_ends = -math.inf
        self._last_kind: Hashable = None

    def run(self, kind: Hashable, job: Job, budget: Budget) -> Result:
        """The result of a job, computed with others of its kind if there are any.

        Args:
            kind: what jobs must agree in to share a batch.
            job: the job.
            budget: its request's means.

        Raises:
            Expired: the caller's deadline passed before it was its turn.
            CallerGone: the caller hung up before it was.
            Exception: whatever computing this very job raises.
        """
        queued: _QueuedJob[Job, Result] = _QueuedJob(kind, job, budget)
        with self._state:
            self.queue.append(queued)
            queued.leads = alone = not self._busy
            self._busy = True
            self._state.notify()
        if not alone:
            self._sleep(queued)
        if queued.leads:
            batch = self._gathered(queued)
            try:
                self._settle(batch)
            finally:
                self._hand_over()
                for entry in batch:
                    entry.asleep.release()
        if queued.error is not None:
            raise queued.error
        return queued.result  # type: ignore[return-value]  # there is one wherever there is no error

    def _sleep(self, queued: _QueuedJob[Job, Result]) -> None:
        """Wait for a result or for one's turn to compute."""
        if queued.asleep.acquire(timeout=min(max(queued.budget.patience(), 0.0), TIMEOUT_MAX)):
            return
        with self._state:
            if queued.leads:  # the turn came at this very moment, and somebody has to take it
                queued.asleep.acquire()
                return
            if queued in self.queue:
                self.queue.remove(queued)
        raise Expired

    def _hand_over(self) -> None:
        """Give the turn to the job that has waited longest, if there is one."""
        with self._state:
            self._busy = bool(self.queue)
            if self.queue:
                self.queue[0].leads = True
                self.queue[0].asleep.release()

    def _gathered(self, queued: _QueuedJob[Job, Result]) -> list[_QueuedJob[Job, Result]]:
        """Take a job and those of its kind that wait, or come within the window, out of the queue."""
        with self._state:
            if queued.kind == self._last_kind:
                while len(self.queue) < self._largest and (left := self._patience()) > 0:
                    self._state.wait(left)
            batch = self._company(queued)
            self.queue = [entry for entry in self.queue if entry not in batch]
        return batch

    def _company(self, queued: _QueuedJob[Job, Result]) -> list[_QueuedJob[Job, Result]]:
        others = [entry for entry in self.queue if entry.kind == queued.kind and entry is not queued]
        return [queued, *others[: self._largest - 1]]

    def _patience(self) -> float:
        """Seconds to wait for company: what is left of the window, or half of what the most pressed can spare."""
        spare = min(entry.budget.remaining() for entry in self.queue) - self._pace
        return min(self._window_ends - time.monotonic(), spare / 2)

    def _settle(self, batch: Sequence[_QueuedJob[Job, Result]]) -> None:
        """Compute for those who are still there. One job's fault is its own: after an error each is computed alone."""
        waiting = [entry for entry in batch if self._is_awaited(entry)]
        if not waiting:
            return
        started = time.monotonic()
        try:
            self._on_batch(len(waiting))
            for entry, result in zip(waiting, self._compute([entry.job for entry in waiting]), strict=True):
                entry.result = result
        except Exception as error:
            if len(waiting) == 1:
                waiting[0].error = error
            else:
                for entry in waiting:
                    self._settle_alone(entry)
        ended = time.monotonic()
        self._pace = ended - started
        self._window_ends = ended + self._window_of_one * len(waiting)
        self._last_kind = waiting[0].kind

    def _settle_alone(self, entry: _QueuedJob[Job, Result]) -> None:
        try:
            (entry.result,) = self._compute([entry.job])
        except Exception as error:
            entry.error = error

    def _is_awaited(self, entry: _QueuedJob[Job, Result]) -> bool:
        try:
            entry.budget.require()
        except CallError as error:
            entry.error = error
        return entry.error is None
