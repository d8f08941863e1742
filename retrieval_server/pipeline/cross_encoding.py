"""The cross-encoder run against the clock: the best candidates first, as many as there is time for."""

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import TIMEOUT_MAX, Lock

import numpy as np
from numpy.typing import NDArray

from index import Scoring
from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason
from retrieval_server.config import RerankingConfig
from retrieval_server.runtime.threads import limit_beside

log = logging.getLogger(__name__)

LEARNING = 0.2
"""Weight of the newest measurement in the running mean of a candidate's time."""


@dataclass(frozen=True)
class CandidateTexts:
    """Candidates as a cross-encoder reads them.

    Attributes:
        context: what is known of the requester.
        texts: of n candidates, the best first.
        recall_scores: the towers' scores [n].
    """

    context: str
    texts: Sequence[str]
    recall_scores: NDArray[np.float32]

    def __len__(self) -> int:
        """The number of candidates."""
        return len(self.texts)

    def part(self, start: int, count: int) -> "CandidateTexts":
        """As many of the candidates from one position on."""
        part = slice(start, start + count)
        return CandidateTexts(self.context, self.texts[part], self.recall_scores[part])


class CrossEncoderRunner:
    """Scores candidates on a few threads of its own, so that a late cross-encoder holds nobody up.

    Args:
        config: candidates between two looks at the clock, and how many such groups are scored at the same time.
        threads: threads that each of them may use inside the model.

    Attributes:
        pending: candidates that wait or are being scored.
    """

    def __init__(self, config: RerankingConfig, threads: int) -> None:
        self._at_once = config.at_once
        self._workers = config.workers
        self._pool = ThreadPoolExecutor(config.workers, "rerank", initializer=limit_beside, initargs=(threads,))
        self._lock = Lock()
        self._closed = False
        self.pending = 0
        self._pace = 0.0  # seconds a candidate takes, a running mean; 0 before the first

    def score(self, cross_encoder: Scoring, candidates: CandidateTexts, budget: Budget) -> NDArray[np.float32]:
        """Score candidates in their order until all are done or the time is up; the budget notes why not all.

        Args:
            cross_encoder: the model.
            candidates: n of them.
            budget: the request's means.

        Returns:
            scores of the first m candidates [m].
        """
        done: list[NDArray[np.float32]] = []
        for start in range(0, len(candidates), self._at_once):
            group = candidates.part(start, self._at_once)
            if budget.remaining() <= self._expected(len(group)):
                budget.degraded[AnswerStage.RERANK] = DegradedReason.BUDGET
                break
            job = self._submit(cross_encoder, group)
            try:
                scores = job.result(timeout=min(budget.remaining(), TIMEOUT_MAX))
            except CancelledError:
                scores = None  # closed meanwhile
            except TimeoutError:
                job.cancel()
                budget.degraded[AnswerStage.RERANK] = DegradedReason.BUDGET
                break
            if scores is None:
                budget.degraded[AnswerStage.RERANK] = DegradedReason.FAILED
                break
            done.append(scores)
        return np.concatenate([np.empty(0, np.float32), *done])

    def close(self) -> None:
        """Let the threads end when they are done. A call that still waits, for a caller who is gone, gets no scores."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _expected(self, candidates: int) -> float:
        """Seconds until a group that is handed in now would be scored."""
        return self._pace * (self.pending / self._workers + candidates)

    def _submit(self, cross_encoder: Scoring, group: CandidateTexts) -> Future[NDArray[np.float32] | None]:
        """Have a group scored; once closed, a job that is cancelled already."""

        def run() -> NDArray[np.float32] | None:
            clock = Budget()
            try:
                with clock.stage(AnswerStage.RERANK):
                    scores = cross_encoder.score(group.context, group.texts, group.recall_scores)
                if not np.isfinite(scores).all():
                    raise ValueError("the cross-encoder gave scores that are not finite")
            except Exception:
                log.exception("error_id=%s the cross-encoder failed, recall's order is returned", uuid.uuid4().hex)
                return None
            pace = clock.timings[AnswerStage.RERANK] / len(group)
            self._pace += (LEARNING if self._pace else 1.0) * (pace - self._pace)
            return scores

        def settled(_: object) -> None:
            with self._lock:
                self.pending -= len(group)

        with self._lock:
            if self._closed:
                job: Future[NDArray[np.float32] | None] = Future()
                job.cancel()
                return job
            self.pending += len(group)
            job = self._pool.submit(run)
        job.add_done_callback(settled)
        return job
