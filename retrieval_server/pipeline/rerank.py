"""Reranking against the clock: the best candidates first, as many as there is time for."""

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import TIMEOUT_MAX, Lock

import numpy as np
from numpy.typing import NDArray

from index import Scoring
from retrieval_server.api.budget import Budget, Reason, Stage
from retrieval_server.runtime.threads import limit_beside

log = logging.getLogger(__name__)

LEARNING = 0.2
"""Weight of the newest measurement in the running mean of a candidate's time."""


class Reranking:
    """Scores candidates on a few threads of its own, so that a late reranker holds nobody up.

    Args:
        at_once: candidates that are scored between two looks at the clock.
        workers: how many such groups are scored at the same time.
        threads: threads that each of them may use inside the model.

    Attributes:
        pending: candidates that wait or are being scored.
    """

    def __init__(self, at_once: int, workers: int, threads: int) -> None:
        self._at_once = at_once
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "rerank", initializer=limit_beside, initargs=(threads,))
        self._lock = Lock()
        self._closed = False
        self.pending = 0
        self._pace = 0.0  # seconds a candidate takes, a running mean; 0 before the first

    def score(
        self,
        reranker: Scoring,
        context: str,
        candidates: Sequence[str],
        recall_scores: NDArray[np.float32],
        budget: Budget,
    ) -> NDArray[np.float32]:
        """Score candidates in their order until all are done or the time is up; the budget learns why not of all.

        Args:
            reranker: what scores.
            context: what is known of the one asking.
            candidates: n texts, the best first.
            recall_scores: the towers' scores [n].
            budget: the request's means.

        Returns:
            scores of the first m candidates [m].
        """
        done: list[NDArray[np.float32]] = []
        for start in range(0, len(candidates), self._at_once):
            part = slice(start, start + self._at_once)
            texts = candidates[part]
            if budget.remaining() <= self._expected(len(texts)):
                budget.degraded[Stage.RERANK] = Reason.BUDGET
                break
            job = self._submit(reranker, context, texts, recall_scores[part])
            try:
                found = job.result(timeout=min(budget.remaining(), TIMEOUT_MAX))
            except CancelledError:
                found = None  # closed meanwhile
            except TimeoutError:
                job.cancel()
                budget.degraded[Stage.RERANK] = Reason.BUDGET
                break
            if found is None:
                budget.degraded[Stage.RERANK] = Reason.FAILED
                break
            done.append(found)
        return np.concatenate([np.empty(0, np.float32), *done])

    def close(self) -> None:
        """Let the threads end when they are done. Whoever still asks, for a caller who is gone, gets no scores."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _expected(self, candidates: int) -> float:
        """Seconds until a group that is handed in now would be scored."""
        return self._pace * (self.pending / self._workers + candidates)

    def _submit(
        self, reranker: Scoring, context: str, texts: Sequence[str], recall_scores: NDArray[np.float32]
    ) -> Future[NDArray[np.float32] | None]:
        """Have a group scored; once closed, a job that is cancelled already."""

        def run() -> NDArray[np.float32] | None:
            took = Budget()
            try:
                with took.stage(Stage.RERANK):
                    scores = reranker.score(context, texts, recall_scores)
                if not np.isfinite(scores).all():
                    raise ValueError("the reranker gave scores that are not finite")
            except Exception:
                log.exception("error_id=%s the reranker failed, recall's order is returned", uuid.uuid4().hex)
                return None
            pace = took.timings[Stage.RERANK] / len(texts)
            self._pace += (LEARNING if self._pace else 1.0) * (pace - self._pace)
            return scores

        def settled(_: object) -> None:
            with self._lock:
                self.pending -= len(texts)

        with self._lock:
            if self._closed:
                job: Future[NDArray[np.float32] | None] = Future()
                job.cancel()
                return job
            self.pending += len(texts)
            job = self._pool.submit(run)
        job.add_done_callback(settled)
        return job
