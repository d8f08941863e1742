"""The time budget of a request: looked at before every stage, with what each took and what was left out."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from retrieval_server.api.errors import CallerGone, Expired

SENDING = 0.002
"""Seconds set aside for packing and sending an answer."""


class Pressure(IntEnum):
    """Load of the server, and so the parts left out of an answer."""

    NONE = 0
    NO_RERANK = 1
    LESS_SEARCH = 2
    """Nothing is reranked either."""


class AnswerStage(StrEnum):
    """Parts of an answer, by the names that its timings and `degraded` use."""

    RESOLVE = "resolve"
    ENCODE = "encode"
    SEARCH = "search"
    RERANK = "rerank"
    BLEND = "blend"
    DIVERSIFY = "diversify"
    EVENTS = "events"


class DegradedReason(StrEnum):
    """Why a part of an answer was skipped or cut short."""

    NO_CROSS_ENCODER = "no_reranker"
    BUDGET = "budget"
    FAILED = "failed"
    OVERLOAD = "overload"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class StageSpan:
    """Start and end of a stage by the monotonic clock, in seconds."""

    stage: AnswerStage
    started: float
    ended: float


class Budget:
    """One request's means. Made when the request is begun; durations are the monotonic clock's.

    Args:
        seconds: that the answer may take; what does not fit is left out of it.
        deadline: seconds until the caller stops waiting, after which there is no use in any answer.
        waiting: whether the caller is still there.
        pressure: how much else there is to do.

    Attributes:
        pressure: as given.
        spans: of the stages that ran so far; one may have run several times.
        degraded: the stages skipped or cut short so far, and why.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        deadline: float = math.inf,
        waiting: Callable[[], bool] = lambda: True,
        pressure: Pressure = Pressure.NONE,
    ) -> None:
        now = time.monotonic()
        self._ends = now + min(seconds, deadline) - SENDING
        self._deadline = now + deadline
        self._waiting = waiting
        self.pressure = pressure
        self.spans: list[StageSpan] = []
        self.degraded: dict[AnswerStage, DegradedReason] = {}

    @property
    def timings(self) -> dict[AnswerStage, float]:
        """Seconds that each stage took so far, in the order they ended."""
        total: dict[AnswerStage, float] = {}
        for span in self.spans:
            total[span.stage] = total.get(span.stage, 0.0) + span.ended - span.started
        return total

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
    def stage(self, name: AnswerStage) -> Iterator[None]:
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
            self.spans.append(StageSpan(name, started, time.monotonic()))
