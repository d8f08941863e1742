"""Answers packed into messages: items, scores and titles, and an answer's notes about itself."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from retrieval_server.api.budget import Budget
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.diversify import DiversityOutcome
from retrieval_server.pipeline.explain import explain
from retrieval_server.pipeline.fallback import fallback_name
from retrieval_server.pipeline.profile import FallbackReason, RequesterProfile
from retrieval_server.pipeline.recall import Ranking
from retrieval_server.pipeline.results import RecallResult, RecommendResult, RerankResult
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Channel,
    Diversified,
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecommendResponse,
    RerankRequest,
    RerankResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
    Timing,
)

Request = RecallRequest | RerankRequest | RecommendRequest | SimilarItemsRequest


class RequesterNotes(TypedDict):
    """Fields of an answer about the requester: the part of the request that the bundle does not know."""

    unknown_item_ids: Sequence[str]
    unknown_item_count: int
    truncated: bool
    fallback_reason: str


class AnswerNotes(TypedDict):
    """Fields of an answer about its making: the version, the degraded stages, the timings."""

    bundle_version: str
    degraded: Sequence[str]
    degraded_reasons: Sequence[str]
    timings: Sequence[Timing]


def recall_response(
    request: RecallRequest, bundle: ServedBundle, profile: RequesterProfile, result: RecallResult, budget: Budget
) -> RecallResponse:
    """The answer to a Recall."""
    return RecallResponse(
        item_ids=bundle.item_ids[result.rows].tolist(),
        scores=result.scores.tolist(),
        titles=_titles(bundle, result.rows, request.with_titles),
        diversified=_diversified(result.diversified),
        fallback=fallback_name(bundle, profile),
        channels=_channels(result.recalled, result.rows, request.explain),
        **_requester_notes(profile),
        **_answer_notes(bundle, request, budget),
    )


def rerank_response(
    request: RerankRequest, bundle: ServedBundle, profile: RequesterProfile, result: RerankResult, budget: Budget
) -> RerankResponse:
    """The answer to a Rerank."""
    return RerankResponse(
        item_ids=result.item_ids,
        scores=result.scores,
        titles=result.titles if request.with_titles else (),
        unknown_candidate_ids=result.unknown,
        reranked_count=result.reranked,
        **_requester_notes(profile),
        **_answer_notes(bundle, request, budget),
    )


def recommend_response(
    request: RecommendRequest, bundle: ServedBundle, profile: RequesterProfile, result: RecommendResult, budget: Budget
) -> RecommendResponse:
    """The answer to a Recommend."""
    return RecommendResponse(
        item_ids=bundle.item_ids[result.rows].tolist(),
        scores=result.scores.tolist(),
        titles=_titles(bundle, result.rows, request.with_titles),
        recall_scores=result.recall_scores.tolist(),
        reranked_count=result.reranked,
        diversified=_diversified(result.diversified),
        ranked=result.ranked,
        fallback=fallback_name(bundle, profile),
        channels=_channels(result.recalled, result.rows, request.explain),
        **_requester_notes(profile),
        **_answer_notes(bundle, request, budget),
    )


def similar_response(
    request: SimilarItemsRequest, bundle: ServedBundle, ranking: Ranking, budget: Budget
) -> SimilarItemsResponse:
    """The answer to a SimilarItems."""
    unknown = [item_id for item_id in request.item_ids if item_id not in bundle.row_of]
    any_known = len(unknown) < len(request.item_ids)
    return SimilarItemsResponse(
        item_ids=bundle.item_ids[ranking.rows].tolist(),
        scores=ranking.scores.tolist(),
        titles=_titles(bundle, ranking.rows, request.with_titles),
        unknown_item_ids=list(dict.fromkeys(unknown)),
        unknown_item_count=len(unknown),
        fallback_reason=FallbackReason.NONE if any_known else FallbackReason.UNKNOWN_ITEMS,
        **_answer_notes(bundle, request, budget),
    )


def _requester_notes(profile: RequesterProfile) -> RequesterNotes:
    return RequesterNotes(
        unknown_item_ids=profile.unknown_item_ids,
        unknown_item_count=profile.unknown_item_count,
        truncated=profile.truncated,
        fallback_reason=profile.reason,
    )


def _answer_notes(bundle: ServedBundle, request: Request, budget: Budget) -> AnswerNotes:
    timings = budget.timings.items() if request.with_timings else ()
    return AnswerNotes(
        bundle_version=bundle.version,
        degraded=list(budget.degraded),
        degraded_reasons=list(budget.degraded.values()),
        timings=[Timing(stage=stage, milliseconds=1000 * seconds) for stage, seconds in timings],
    )


def _diversified(outcome: DiversityOutcome | None) -> Diversified | None:
    if outcome is None:
        return None
    return Diversified(
        method=outcome.setting.method,
        strength=outcome.setting.strength,
        max_per_category=outcome.setting.max_per_category,
        collapse_duplicates=outcome.setting.collapse_duplicates,
        pool=outcome.pool,
        over_quota=outcome.over_quota,
        duplicates=outcome.duplicates,
    )


def _channels(recalled: Ranking, rows: NDArray[np.int64], explained: bool) -> Sequence[Channel]:
    if not explained:
        return ()
    return [Channel(name=view.name, places=view.places, scores=view.scores) for view in explain(recalled, rows)]


def _titles(bundle: ServedBundle, rows: NDArray[np.int64], with_titles: bool) -> Sequence[str]:
    titles: list[str] = bundle.titles[rows].tolist() if with_titles else []
    return titles
