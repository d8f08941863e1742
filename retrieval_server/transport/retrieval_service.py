"""`retrieval.v1.RetrievalService`: each call checked, computed by the pipeline, and its answer packed."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import grpc
import numpy as np

from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason
from retrieval_server.api.errors import CallError
from retrieval_server.api.requester import Requester
from retrieval_server.api.validation import check_events, check_recall, check_recommend, check_rerank, check_similar
from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.events.recording import Recorder
from retrieval_server.events.user_events import StoreUnavailable, events_of
from retrieval_server.pipeline.diversify import diversity_of
from retrieval_server.pipeline.filter import filter_of
from retrieval_server.pipeline.pipeline import Pipeline
from retrieval_server.pipeline.profile import RequesterProfile, resolve, rows_of
from retrieval_server.pipeline.results import Constraints
from retrieval_server.retrieval.v1 import retrieval_pb2
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecommendResponse,
    RecommendStreamResponse,
    RecordEventsRequest,
    RecordEventsResponse,
    RerankRequest,
    RerankResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
)
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceServicer
from retrieval_server.telemetry.observer import Observer
from retrieval_server.transport.admission import Admission
from retrieval_server.transport.answers import (
    Request,
    recall_response,
    recommend_response,
    rerank_response,
    similar_response,
)
from retrieval_server.transport.guard import outcome, parsed
from retrieval_server.transport.streams import Streams
from towers.diversity import POOL

logger = logging.getLogger(__name__)
SERVICE_NAME: str = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name


@dataclass(frozen=True)
class ServiceParts:
    """Parts of a server that its calls share.

    Attributes:
        slot: holds the bundle that each request takes at its start.
        pipeline: computes.
        recorder: records users' events, and gives the recent ones.
        streams: the streams of requests that are open.
        admission: says what there is time for.
        observer: notes the stages of answers.
    """

    slot: BundleSlot
    pipeline: Pipeline
    recorder: Recorder
    streams: Streams
    admission: Admission
    observer: Observer


class RetrievalService(RetrievalServiceServicer):
    """Answers the calls of the API from the bundle in a slot.

    Args:
        parts: what the calls share.
        config: limits and defaults of a request.
    """

    def __init__(self, parts: ServiceParts, config: ServeConfig) -> None:
        self._parts = parts
        self._config = config

    def Recall(self, request: RecallRequest, context: grpc.ServicerContext) -> RecallResponse:
        """The best k items of the whole catalogue."""
        requester = check_recall(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._parts.slot.take()
        profile = self._profile(bundle, requester, budget)
        constraints = self._constraints(bundle, request, request.HasField("diversity"))
        result = self._parts.pipeline.recall(bundle, profile, constraints, budget)
        self._parts.observer.stages(budget)
        return recall_response(request, bundle, profile, result, budget)

    def Rerank(self, request: RerankRequest, context: grpc.ServicerContext) -> RerankResponse:
        """Given candidates in order."""
        requester = check_rerank(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._parts.slot.take()
        profile = self._profile(bundle, requester, budget)
        result = self._parts.pipeline.rerank(bundle, profile, request.candidate_ids, budget)
        self._parts.observer.stages(budget)
        return rerank_response(request, bundle, profile, result, budget)

    def Recommend(self, request: RecommendRequest, context: grpc.ServicerContext) -> RecommendResponse:
        """Recall and Rerank in one hop."""
        requester = check_recommend(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._parts.slot.take()
        profile = self._profile(bundle, requester, budget)
        diverse = request.HasField("diversity") or self._config.diversify
        constraints = self._constraints(bundle, request, diverse)
        candidates = request.candidates or self._config.rerank.candidates
        pool = min(max(constraints.pool, candidates), self._config.limits.candidates)
        result = self._parts.pipeline.recommend(bundle, profile, replace(constraints, pool=pool), budget)
        self._parts.observer.stages(budget)
        return recommend_response(request, bundle, profile, result, budget)

    def RecommendStream(  # type: ignore[override]  # bytes, where the generated base says messages
        self, request_iterator: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[RecommendStreamResponse]:
        """Recommend for each request of a stream; the guard hands messages over as they came."""
        for position, message in enumerate(self._parts.streams.messages(request_iterator, context)):
            answer = outcome("RecommendStream", lambda: self._recommend_message(message, context))  # noqa: B023
            if isinstance(answer, CallError):
                yield RecommendStreamResponse(position=position, error=answer.message())
            else:
                yield RecommendStreamResponse(position=position, answer=answer)

    def SimilarItems(self, request: SimilarItemsRequest, context: grpc.ServicerContext) -> SimilarItemsResponse:
        """The items most like given ones."""
        check_similar(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._parts.slot.take()
        rows = np.unique(rows_of(bundle, request.item_ids))
        constraints = Constraints(request.k, exclude_ids=request.exclude_ids, filter=filter_of(request.filter))
        ranking = self._parts.pipeline.similar(bundle, rows, constraints, budget)
        self._parts.observer.stages(budget)
        return similar_response(request, bundle, ranking, budget)

    def RecordEvents(self, request: RecordEventsRequest, context: grpc.ServicerContext) -> RecordEventsResponse:
        """Events written down and remembered."""
        check_events(request, self._config.limits)
        counts = self._parts.recorder.record(events_of(request))
        self._parts.observer.recorded(counts.recorded, counts.repeated)
        return RecordEventsResponse(recorded_count=counts.recorded, repeated_count=counts.repeated)

    def _profile(self, bundle: ServedBundle, requester: Requester, budget: Budget) -> RequesterProfile:
        """The requester in the bundle's terms, with their recent events, or without if the store is unavailable."""
        with budget.stage(AnswerStage.RESOLVE):
            if not requester.user_id or requester.item_ids:
                return resolve(bundle, requester)
            try:
                return resolve(bundle, requester, self._parts.recorder.recent(requester.user_id))
            except StoreUnavailable as error:
                logger.warning("answered without recorded events: %s", error)
                budget.degraded[AnswerStage.EVENTS] = DegradedReason.UNAVAILABLE
                return resolve(bundle, requester)

    def _constraints(
        self, bundle: ServedBundle, request: RecallRequest | RecommendRequest, diverse: bool
    ) -> Constraints:
        """The constraints of a request, and where it is to be diverse, the size of the pool that is chosen from."""
        constraints = Constraints(request.k, request.include_seen, request.exclude_ids, filter_of(request.filter))
        if not diverse:
            return constraints
        setting = diversity_of(request.diversity, self._config.diversity, bundle)
        return replace(constraints, diversity=setting, pool=max(POOL * request.k, self._config.rerank.candidates))

    def _recommend_message(self, message: bytes, context: grpc.ServicerContext) -> RecommendResponse:
        return self.Recommend(parsed(RecommendRequest.FromString, message), context)

    def _budget(self, request: Request, context: grpc.ServicerContext) -> Budget:
        seconds = (request.budget_ms or self._config.budget_ms) / 1000
        patience = context.time_remaining()
        deadline = float("inf") if patience is None else patience
        return Budget(seconds, deadline, context.is_active, self._parts.admission.pressure())
