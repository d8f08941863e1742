"""Rerank and Recommend: the cross-encoder's order, nothing lost, nothing invented."""

from collections.abc import Sequence
from dataclasses import replace

import grpc
import numpy as np
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.api.budget import Budget
from retrieval_server.api.requester import Requester
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import BatchingConfig, CacheConfig, RerankingConfig
from retrieval_server.pipeline.cross_encoding import CrossEncoderRunner
from retrieval_server.pipeline.pipeline import LOWEST_SCORE, Pipeline
from retrieval_server.pipeline.profile import resolve
from retrieval_server.pipeline.recall import BatchedRecall
from retrieval_server.telemetry.observer import Observer
from tests.retrieval_server.shop import ServerFor, item
from towers import History, InputTemplate


def scores_of(shop: ServedBundle, rows: list[int], query: str, candidates: list[int]) -> np.ndarray:
    """The cross-encoder's scores for a history, fed by hand."""
    assert shop.cross_encoder is not None
    context = shop.cross_encoder.input_template.context([shop.titles[row] for row in rows], [""] * len(rows), query)
    history = History(np.array(rows, np.int64), [""] * len(rows), np.full(len(rows), np.nan))
    (vector,) = shop.user_encoder.encode([history], [query])
    recall_scores = np.array([shop.vectors[row] @ vector for row in candidates], np.float32)
    return shop.cross_encoder.score(context, [shop.texts[row] for row in candidates], recall_scores)


def test_candidates_come_in_the_cross_encoders_order_with_its_scores(
    client: RetrievalClient, shop: ServedBundle
) -> None:
    candidates = [30, 2, 17, 8, 25]
    history = [1, 6, 4, 9]
    answer = client.rerank([item(row) for row in candidates], history=[item(row) for row in history], query="milk")
    scores = scores_of(shop, history, "milk", candidates)
    assert len(set(scores)) > 2
    order = np.argsort(-scores, kind="stable")
    assert answer.item_ids == [item(candidates[place]) for place in order]
    assert answer.scores == scores[order].tolist()


def test_a_candidates_recall_score_is_that_of_its_best_interest(shop: ServedBundle) -> None:
    class TwoInterests:
        max_history = 5

        def encode(self, histories: Sequence[History], queries: Sequence[str]) -> np.ndarray:
            return shop.vectors[[[1, 2]] * len(histories)]  # [B, 2, d]

    class Recorded:
        input_template = InputTemplate(None, context_items=2, event_types=False)

        def score(self, context: str, candidates: Sequence[str], recall_scores: np.ndarray) -> np.ndarray:
            return recall_scores

    bundle = replace(shop, user_encoder=TwoInterests(), cross_encoder=Recorded())
    profile = resolve(bundle, Requester(query="milk"))
    recall = BatchedRecall(BatchingConfig(1, 0.0), CacheConfig(0, 0.0), Observer(log_calls=False))
    pipeline = Pipeline(recall, CrossEncoderRunner(RerankingConfig(candidates=10, at_once=4, workers=1), threads=1))
    answer = pipeline.rerank(bundle, profile, [item(row) for row in range(10)], Budget())
    expected = np.maximum(shop.vectors[:10] @ shop.vectors[1], shop.vectors[:10] @ shop.vectors[2])
    assert answer.item_ids == [item(row) for row in np.argsort(-expected)]
    np.testing.assert_allclose(answer.scores, np.sort(expected)[::-1], rtol=1e-5)


def test_equal_scores_keep_the_order_of_the_request(client: RetrievalClient, shop: ServedBundle) -> None:
    candidates = list(range(30))
    scores = dict(zip(candidates, scores_of(shop, [], "milk", candidates), strict=True))
    assert len(set(scores.values())) < len(candidates), "the test needs ties"
    for request in (candidates, candidates[::-1]):
        answer = client.rerank([item(row) for row in request], query="milk")
        assert answer.item_ids == [item(row) for row in sorted(request, key=lambda row: -scores[row])]


def test_repeated_candidates_count_once(client: RetrievalClient) -> None:
    repeated = client.rerank([item(1), item(2), item(1), item(1)], query="milk")
    assert repeated == client.rerank([item(1), item(2)], query="milk")


def test_unknown_candidates_come_last_and_are_flagged(client: RetrievalClient) -> None:
    answer = client.rerank(["gone", item(1), "", item(2), "gone"], query="milk", with_titles=True)
    assert set(answer.item_ids[:2]) == {item(1), item(2)}
    assert answer.item_ids[2:] == answer.unknown_candidate_ids == ["gone", ""]
    assert answer.scores[2:] == [LOWEST_SCORE, LOWEST_SCORE]
    assert answer.titles[2:] == ["", ""]
    assert not answer.unknown_item_ids


def test_unknown_candidates_alone_are_answered(client: RetrievalClient) -> None:
    answer = client.rerank(["gone", "lost"], query="milk")
    assert answer.item_ids == answer.unknown_candidate_ids == ["gone", "lost"]


def test_the_history_is_accounted_for_as_in_recall(client: RetrievalClient) -> None:
    answer = client.rerank([item(1)], history=["gone", "gone"])
    assert answer.unknown_item_ids == ["gone"]
    assert answer.unknown_item_count == 2
    assert answer.fallback_reason == "unknown_items"


def test_rerank_without_a_cross_encoder_is_refused_with_the_cure(server_for: ServerFor, shop: ServedBundle) -> None:
    with server_for(replace(shop, cross_encoder=None)) as server, RetrievalClient(server.address) as client:
        with pytest.raises(RetrievalError, match=r"towers\.train_ranker") as refused:
            client.rerank([item(1)], query="milk")
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_recommend_is_recall_then_rerank(client: RetrievalClient) -> None:
    recalled = client.recall(history=[item(1)], query="milk", k=20)
    reranked = client.rerank(recalled.item_ids, history=[item(1)], query="milk")
    answer = client.recommend(history=[item(1)], query="milk", k=4, candidates=20)
    recall_score = dict(zip(recalled.item_ids, recalled.scores, strict=True))
    assert answer.item_ids == reranked.item_ids[:4]
    assert answer.scores == reranked.scores[:4]
    assert answer.recall_scores == [recall_score[item_id] for item_id in answer.item_ids]
    assert not answer.degraded


def test_recommend_takes_the_servers_number_of_candidates_unless_told(client: RetrievalClient) -> None:
    told = client.recommend(history=[item(1)], k=4, candidates=10)
    assert client.recommend(history=[item(1)], k=4) == told


def test_recommend_recalls_as_many_as_are_asked_for(client: RetrievalClient) -> None:
    assert len(client.recommend(history=[item(1)], k=15, candidates=3).item_ids) == 15


def test_recommend_leaves_the_history_out_unless_told(client: RetrievalClient) -> None:
    history = [item(row) for row in range(20)]
    assert not set(history) & set(client.recommend(history=history, k=30).item_ids)
    assert set(history) & set(client.recommend(history=history, k=30, include_seen=True).item_ids)


def test_recommend_without_a_cross_encoder_is_recall_and_says_so(server_for: ServerFor, shop: ServedBundle) -> None:
    with server_for(replace(shop, cross_encoder=None)) as server, RetrievalClient(server.address) as client:
        recalled = client.recall(history=[item(1)], k=7, with_titles=True)
        answer = client.recommend(history=[item(1)], k=7, with_titles=True)
    assert answer.item_ids == recalled.item_ids
    assert answer.titles == recalled.titles
    assert answer.scores == answer.recall_scores == recalled.scores
    assert answer.degraded == ["rerank"]
