"""Micro-batches: who comes together is computed together, and nobody pays for another's fault or lateness."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.api.budget import Budget
from retrieval_server.api.errors import CallerGone, Expired
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.batching import MicroBatcher
from tests.retrieval_server.shop import MAX_HISTORY, Gated, ServerFor, item
from towers import History


class Squares:
    """Squares numbers, the first batch only when told to; -1 is a fault, and so is every batch that holds it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = Event(), Event()

    def __call__(self, jobs: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(jobs))
        self.begun.set()
        if len(self.batches) == 1:
            assert self.go_on.wait(30)
        if -1 in jobs:
            raise ValueError("a fault")
        return [job * job for job in jobs]


def gather(squares: Squares, batcher: MicroBatcher[int, int], jobs: Sequence[int], budgets: Sequence[Budget]):
    """Results of jobs that all come while the job 0 is being computed; exceptions in their places."""

    def run(job: int, budget: Budget) -> int | Exception:
        try:
            return batcher.run(job % 2 if job > 0 else 1, job, budget)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(jobs) + 1) as pool:
        first = pool.submit(batcher.run, "first", 0, Budget())
        assert squares.begun.wait(30)
        rest = [pool.submit(run, job, budget) for job, budget in zip(jobs, budgets, strict=True)]
        while len(batcher.queue) < sum(not future.done() for future in rest):
            time.sleep(0)
        squares.go_on.set()
        assert first.result(30) == 0
        return [future.result(30) for future in rest]


def batcher_of(squares: Squares, largest: int = 8, window: float = 0.0) -> MicroBatcher[int, int]:
    return MicroBatcher(squares, largest, window, lambda size: None)


def test_jobs_that_come_together_are_computed_together_by_kind() -> None:
    squares = Squares()
    jobs = [1, 2, 3, 4, 5, 6, 7]
    assert gather(squares, batcher_of(squares), jobs, [Budget()] * 7) == [1, 4, 9, 16, 25, 36, 49]
    assert sorted(sorted(batch) for batch in squares.batches) == [[0], [1, 3, 5, 7], [2, 4, 6]]


def test_no_batch_is_larger_than_allowed() -> None:
    squares = Squares()
    jobs = [1, 3, 5, 7, 9, 11, 13]
    assert gather(squares, batcher_of(squares, largest=3), jobs, [Budget()] * 7) == [job * job for job in jobs]
    assert sorted(map(len, squares.batches)) == [1, 1, 3, 3]


def test_a_faulty_job_fails_alone() -> None:
    squares = Squares()
    first, faulty, last = gather(squares, batcher_of(squares), [1, -1, 3], [Budget()] * 3)
    assert (first, last) == (1, 9)
    assert isinstance(faulty, ValueError)


def test_a_caller_who_is_gone_is_not_computed_for() -> None:
    squares = Squares()
    gone = Budget(waiting=lambda: False)
    found = gather(squares, batcher_of(squares), [1, 3, 5], [Budget(), gone, Budget()])
    assert (found[0], found[2]) == (1, 25)
    assert isinstance(found[1], CallerGone)
    assert not any(3 in batch for batch in squares.batches)


def test_a_job_whose_deadline_passes_while_it_waits_is_dropped() -> None:
    squares = Squares()
    batcher = batcher_of(squares)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(batcher.run, "first", 0, Budget())
        assert squares.begun.wait(30)
        with pytest.raises(Expired):
            batcher.run("kind", 5, Budget(deadline=0.02))
        squares.go_on.set()
        assert first.result(30) == 0
    assert squares.batches == [[0]]
    assert batcher.run("kind", 6, Budget()) == 36, "nothing is left behind"


def test_after_a_batch_a_lone_job_waits_for_company() -> None:
    squares = Squares()
    squares.go_on.set()
    batcher = batcher_of(squares, largest=2, window=30.0)
    assert batcher.run("kind", 3, Budget()) == 9, "there was no batch before this one"
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda job: batcher.run("kind", job, Budget()), [4, 5])) == [16, 25]
    assert [sorted(batch) for batch in squares.batches] == [[3], [4, 5]]


def test_the_window_is_as_long_as_the_batch_before_was_large() -> None:
    squares = Squares()
    jobs = [1, 3, 5, 7]
    batcher = batcher_of(squares, window=0.5)
    assert gather(squares, batcher, jobs, [Budget()] * 4) == [job * job for job in jobs]
    assert sorted(map(len, squares.batches)) == [1, 4]
    began = time.monotonic()
    assert batcher.run(1, 9, Budget()) == 81
    assert time.monotonic() - began > 4 * 0.5 - 0.5, "half a second for each of four, less what was spent meanwhile"


def test_a_job_of_another_kind_does_not_wait_for_company() -> None:
    squares = Squares()
    squares.go_on.set()
    batcher = batcher_of(squares, window=600.0)
    assert batcher.run("kind", 3, Budget()) == 9
    assert batcher.run("other", 4, Budget()) == 16


def test_callers_who_are_gone_open_no_window() -> None:
    squares = Squares()
    squares.go_on.set()
    batcher = batcher_of(squares, window=600.0)
    with pytest.raises(CallerGone):
        batcher.run("kind", 3, Budget(waiting=lambda: False))
    assert batcher.run("kind", 4, Budget()) == 16


def test_a_window_never_makes_a_job_late() -> None:
    squares = Squares()
    squares.go_on.set()
    batcher = batcher_of(squares, window=600.0)
    assert batcher.run("kind", 3, Budget()) == 9
    assert batcher.run("kind", 4, Budget(deadline=1.0)) == 16


def test_calls_that_come_together_share_a_pass_and_get_what_each_would_get_alone(
    gated: Gated, client: RetrievalClient
) -> None:
    with RetrievalClient(gated.server.address) as crowd, ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(crowd.recall, history=[item(row)], k=5, exclude=[item(30)]) for row in range(4)]
        gated.encoder.wait_until_busy()
        while gated.server.handlers.waiting or gated.batched() < 3:
            assert not any(call.done() for call in calls)
        gated.encoder.open()
        answers = [call.result(30) for call in calls]
    assert sorted(gated.encoder.batches) == [1, 3]
    alone = [client.recall(history=[item(row)], k=5, exclude=[item(30)]) for row in range(4)]
    assert [answer.item_ids for answer in answers] == [answer.item_ids for answer in alone]


def test_a_vector_that_is_not_finite_is_refused_and_its_neighbours_are_answered(
    server_for: ServerFor, shop: ServedBundle, client: RetrievalClient
) -> None:
    class Sick:
        """Gives NaN for item 13."""

        max_history = MAX_HISTORY

        def encode(self, histories: Sequence[History], queries: Sequence[str]) -> np.ndarray:
            vectors = shop.user_encoder.encode(histories, queries)
            vectors[[13 in history.rows for history in histories]] = np.nan
            return vectors

    class Strict:
        """Refuses what is not finite, as the real index does."""

        def search(self, queries: np.ndarray, k: int, exclude: Sequence[np.ndarray], allowed: None):
            if not np.isfinite(queries).all():
                raise ValueError("NaN")
            return shop.index.search(queries, k, exclude, allowed)

    def ask(row: int) -> list[str] | str:
        try:
            return list(crowd.recall(history=[item(row)], k=5).item_ids)
        except RetrievalError as error:
            return error.code.name

    bundle = replace(shop, user_encoder=Sick(), index=Strict())
    rows = [1, 13, 2, 13, 3, 4] * 5
    with server_for(bundle) as server, RetrievalClient(server.address) as crowd, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, rows))
    alone = {row: list(client.recall(history=[item(row)], k=5).item_ids) for row in (1, 2, 3, 4)}
    assert answers == [alone.get(row, "INTERNAL") for row in rows]
