"""A request's time: work that nobody waits for is not begun, and what does not fit is left out and said."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason
from retrieval_server.api.errors import CallerGone, Expired
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import RerankingConfig
from retrieval_server.pipeline.cross_encoding import CandidateTexts, CrossEncoderRunner
from retrieval_server.pipeline.pipeline import LOWEST_SCORE
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from tests.retrieval_server.shop import Gated, ServerFor, item
from towers import InputTemplate


class Counted:
    """Scores candidates by the number in their text, and stops at a gate after some of them."""

    input_template = InputTemplate(None, context_items=2, event_types=False)

    def __init__(self, fast: int) -> None:
        self.fast = fast
        self.scored: list[str] = []
        self.gate, self.begun = Event(), Event()

    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        self.begun.set()
        if len(self.scored) >= self.fast:
            assert self.gate.wait(30)
        self.scored += candidates
        return np.array([float(text.split()[-1]) for text in candidates], np.float32)


class Failing:
    input_template = InputTemplate(None, context_items=2, event_types=False)

    def __init__(self, score: float | None = None) -> None:
        self._score = score

    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._score is None:
            raise RuntimeError("password=hunter2")
        return np.full(len(candidates), self._score, np.float32)


def test_no_stage_is_begun_for_a_caller_who_is_gone_or_too_late() -> None:
    with pytest.raises(CallerGone), Budget(waiting=lambda: False).stage(AnswerStage.SEARCH):
        raise AssertionError("not reached")
    with pytest.raises(Expired), Budget(deadline=-1).stage(AnswerStage.SEARCH):
        raise AssertionError("not reached")


def test_a_budget_ends_no_call() -> None:
    budget = Budget(seconds=-1, deadline=60)
    with budget.stage(AnswerStage.SEARCH):
        assert budget.remaining() <= 0


def test_timings_come_when_asked_for_in_the_order_of_the_stages(client: RetrievalClient) -> None:
    answer = client.recommend(history=[item(1)], query="milk", with_timings=True)
    assert [timing.stage for timing in answer.timings] == ["resolve", "encode", "search", "rerank"]
    assert all(timing.milliseconds >= 0 for timing in answer.timings)
    assert not client.recommend(history=[item(1)]).timings
    assert [timing.stage for timing in client.similar_items([item(1)], with_timings=True).timings] == ["search"]


@pytest.mark.parametrize("budget_ms", [-1, 60_001])
def test_a_budget_outside_its_limits_is_refused(client: RetrievalClient, budget_ms: int) -> None:
    with pytest.raises(RetrievalError) as refused:
        client.recall(query="milk", budget_ms=budget_ms)
    assert "limits.budget_ms" in refused.value.fields["budget_ms"]


def test_the_best_candidates_are_scored_first_and_the_rest_keep_recalls_order(
    server_for: ServerFor, shop: ServedBundle
) -> None:
    slow = Counted(fast=16)
    with server_for(replace(shop, cross_encoder=slow)) as server, RetrievalClient(server.address) as client:
        recalled = client.recall(history=[item(1)], k=30)
        answer = client.recommend(history=[item(1)], k=30, candidates=30, budget_ms=1500)
        slow.gate.set()
    assert answer.reranked_count == 16
    first = sorted(recalled.item_ids[:16], key=lambda item_id: -int(item_id.split("-")[1]))
    assert answer.item_ids == [*first, *recalled.item_ids[16:]]
    assert answer.scores[16:] == [LOWEST_SCORE] * 14
    recall_scores = dict(zip(recalled.item_ids, recalled.scores, strict=True))
    assert answer.recall_scores == [recall_scores[item_id] for item_id in answer.item_ids]
    assert (answer.degraded, answer.degraded_reasons) == (["rerank"], ["budget"])


def test_rerank_keeps_recalls_order_for_what_it_did_not_get_to(server_for: ServerFor, shop: ServedBundle) -> None:
    slow = Counted(fast=16)
    with server_for(replace(shop, cross_encoder=slow)) as server, RetrievalClient(server.address) as client:
        recalled = client.recall(history=[item(1)], k=20)
        answer = client.rerank(["gone", *reversed(recalled.item_ids)], history=[item(1)], budget_ms=1500)
        slow.gate.set()
    assert answer.item_ids[16:] == [*recalled.item_ids[16:], "gone"]
    assert answer.scores[16:] == [LOWEST_SCORE] * 5
    assert answer.reranked_count == 16
    assert answer.degraded_reasons == ["budget"]


@pytest.mark.parametrize("call", ["recommend", "rerank"])
@pytest.mark.parametrize("score", [None, float("nan")])
def test_a_failing_cross_encoder_leaves_recalls_order_and_no_error(
    server_for: ServerFor, shop: ServedBundle, caplog: pytest.LogCaptureFixture, call: str, score: float | None
) -> None:
    with server_for(replace(shop, cross_encoder=Failing(score))) as server, RetrievalClient(server.address) as client:
        recalled = client.recall(history=[item(1)], k=10)
        if call == "rerank":
            answer = client.rerank(list(reversed(recalled.item_ids)), history=[item(1)])
        else:
            answer = client.recommend(history=[item(1)], k=10)
    assert answer.item_ids == recalled.item_ids
    np.testing.assert_allclose(answer.scores, recalled.scores, rtol=1e-6)
    assert (answer.degraded, answer.degraded_reasons, answer.reranked_count) == (["rerank"], ["failed"], 0)
    assert "hunter2" not in str(answer)
    assert "the cross-encoder failed" in caplog.text


def test_a_late_cross_encoder_leaves_recalls_order_and_no_error(server_for: ServerFor, shop: ServedBundle) -> None:
    slow = Counted(fast=0)
    with server_for(replace(shop, cross_encoder=slow)) as server, RetrievalClient(server.address) as client:
        recalled = client.recall(history=[item(1)], k=10)
        answer = client.recommend(history=[item(1)], k=10, budget_ms=50)
        slow.gate.set()
    assert answer.item_ids == recalled.item_ids
    assert (answer.degraded, answer.degraded_reasons) == (["rerank"], ["budget"])


def test_what_would_not_be_done_in_time_is_not_begun() -> None:
    class Slow:
        input_template = InputTemplate(None, context_items=2, event_types=False)
        calls = 0

        def score(self, context: str, candidates: Sequence[str], recall: NDArray[np.float32]) -> NDArray[np.float32]:
            self.calls += 1
            self.done.wait(0.05)
            return np.zeros(len(candidates), np.float32)

        done = Event()

    slow, runner = Slow(), CrossEncoderRunner(RerankingConfig(candidates=8, at_once=4, workers=1), threads=1)
    eight = CandidateTexts("", ["text"] * 8, np.zeros(8, np.float32))
    assert len(runner.score(slow, eight, Budget())) == 8
    assert slow.calls == 2
    budget = Budget(seconds=0.02)
    assert not len(runner.score(slow, eight, budget))
    assert (budget.degraded, slow.calls) == ({AnswerStage.RERANK: DegradedReason.BUDGET}, 2)
    runner.close()


def test_calls_that_nobody_waits_for_leave_no_work_behind(gated: Gated) -> None:
    """One call holds each worker; 500 behind them are cancelled, and none of these reaches the encoder."""
    workers = 4
    with grpc.insecure_channel(gated.server.address) as channel:
        stub = RetrievalServiceStub(channel)
        request = RecallRequest(query="milk", k=3)
        held = [stub.Recall.future(request, timeout=60) for _ in range(workers)]
        gated.encoder.wait_until_busy()
        waiting = [stub.Recall.future(request, timeout=60) for _ in range(500)]
        assert all(call.cancel() for call in waiting)
        gated.encoder.open()
        assert all(call.result().item_ids for call in held)
        assert stub.Recall(request, timeout=60).item_ids, "the workers are free"
    assert gated.encoder.calls <= workers + 1 + workers, "at most one stage each for calls that were just beginning"


def test_a_call_whose_deadline_passes_ends_so_and_computes_no_further(gated: Gated) -> None:
    with ThreadPoolExecutor(1) as pool, RetrievalClient(gated.server.address, timeout=0.3) as client:
        call = pool.submit(client.recall, query="milk")
        with pytest.raises(RetrievalError) as late:
            call.result(30)
    assert late.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_call_that_goes_on_after_the_end_gets_no_scores_and_no_error() -> None:
    """A caller hangs up, gRPC counts the call as over, the server closes, and only then does the call come this far."""
    slow, runner = Counted(fast=0), CrossEncoderRunner(RerankingConfig(candidates=8, at_once=4, workers=1), threads=1)
    four = CandidateTexts("", ["text 1"] * 4, np.zeros(4, np.float32))
    budgets = [Budget() for _ in range(3)]

    def score(budget: Budget) -> int:
        return len(runner.score(slow, four, budget))

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(score, budgets[0])
        while not slow.begun.wait(1):
            assert not running.done()
        waiting = pool.submit(score, budgets[1])
        while runner.pending < 8:
            assert not waiting.done()
        runner.close()
        assert waiting.result(30) == 0
        assert score(budgets[2]) == 0
        slow.gate.set()
        assert running.result(30) == 4
    assert [budget.degraded for budget in budgets] == [{}, *[{AnswerStage.RERANK: DegradedReason.FAILED}] * 2]
