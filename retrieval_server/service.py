"""`retrieval.v1.RetrievalService`: messages checked and unpacked on the way in, packed on the way out."""

from collections.abc import Sequence
from typing import TypedDict

import grpc
import numpy as np
from numpy.typing import NDArray

from retrieval_server import pipeline
from retrieval_server.config import Limits
from retrieval_server.profile import Profile, resolve
from retrieval_server.retrieval.v1 import retrieval_pb2
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecommendResponse,
    RerankRequest,
    RerankResponse,
)
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceServicer
from retrieval_server.served_bundle import BundleSlot, ServedBundle
from retrieval_server.validation import check_recall, check_recommend, check_rerank

SERVICE_NAME: str = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name


class RetrievalService(RetrievalServiceServicer):
    """Answers the calls of the API from the bundle in a slot.

    Args:
        slot: where each request takes its bundle from.
        limits: what one request may ask for.
        rerank_candidates: items that Recommend reranks when the request does not say.
    """

    def __init__(self, slot: BundleSlot, limits: Limits, rerank_candidates: int) -> None:
        self._slot = slot
        self._limits = limits
        self._rerank_candidates = rerank_candidates

    def Recall(self, request: RecallRequest, context: grpc.ServicerContext) -> RecallResponse:
        """The best k items of the whole catalogue."""
        asker = check_recall(request, self._limits)
        bundle = self._slot.take()
        profile = resolve(bundle, asker)
        found = pipeline.recall(bundle, profile, request.k, request.include_seen)
        return RecallResponse(
            item_ids=bundle.item_ids[found.rows].tolist(),
            scores=found.scores.tolist(),
            titles=_titles(bundle, found.rows, request.with_titles),
            **_notes(bundle, profile),
        )

    def Rerank(self, request: RerankRequest, context: grpc.ServicerContext) -> RerankResponse:
        """Given candidates in order."""
        asker = check_rerank(request, self._limits)
        bundle = self._slot.take()
        profile = resolve(bundle, asker)
        found = pipeline.rerank(bundle, profile, request.candidate_ids)
        return RerankResponse(
            item_ids=found.item_ids,
            scores=found.scores,
            titles=found.titles if request.with_titles else (),
            unknown_candidate_ids=found.unknown,
            **_notes(bundle, profile),
        )

    def Recommend(self, request: RecommendRequest, context: grpc.ServicerContext) -> RecommendResponse:
        """Recall and Rerank in one hop."""
        asker = check_recommend(request, self._limits)
        bundle = self._slot.take()
        profile = resolve(bundle, asker)
        candidates = request.candidates or self._rerank_candidates
        found = pipeline.recommend(bundle, profile, request.k, request.include_seen, candidates)
        return RecommendResponse(
            item_ids=bundle.item_ids[found.rows].tolist(),
            scores=found.scores.tolist(),
            titles=_titles(bundle, found.rows, request.with_titles),
            recall_scores=found.recall_scores.tolist(),
            degraded=found.degraded,
            **_notes(bundle, profile),
        )


class _Notes(TypedDict):
    bundle_version: str
    unknown_item_ids: Sequence[str]
    unknown_item_count: int
    truncated: bool
    fallback_reason: str


def _notes(bundle: ServedBundle, profile: Profile) -> _Notes:
    """What every answer says about itself."""
    return _Notes(
        bundle_version=bundle.version,
        unknown_item_ids=profile.unknown_item_ids,
        unknown_item_count=profile.unknown_item_count,
        truncated=profile.truncated,
        fallback_reason=profile.fallback,
    )


def _titles(bundle: ServedBundle, rows: NDArray[np.int64], wanted: bool) -> Sequence[str]:
    titles: list[str] = bundle.titles[rows].tolist() if wanted else []
    return titles
