"""`retrieval.v1.RetrievalService`: messages checked and unpacked on the way in, packed on the way out."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypedDict

import grpc
import numpy as np
from numpy.typing import NDArray

from retrieval_server.api.budget import Budget, Reason, Stage
from retrieval_server.api.errors import CallError
from retrieval_server.api.requester import Asker
from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.events.recording import Recorder
from retrieval_server.events.user_events import StoreUnavailable
from retrieval_server.pipeline.diversify import Diversified, diversity_of
from retrieval_server.pipeline.fallback import name_of_fallback
from retrieval_server.pipeline.filter import filter_of
from retrieval_server.pipeline.pipeline import Pipeline, Wanted
from retrieval_server.pipeline.profile import FallbackReason, Profile, resolve, rows_of
from retrieval_server.pipeline.recall import Ranking
from retrieval_server.pipeline.validation import (
    check_events,
    check_recall,
    check_recommend,
    check_rerank,
    check_similar,
)
from retrieval_server.retrieval.v1 import retrieval_pb2
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Channel,
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
    Timing,
)
from retrieval_server.retrieval.v1.retrieval_pb2 import Diversified as DiversifiedMessage
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceServicer
from retrieval_server.telemetry.observation import Observer
from retrieval_server.transport.admission import Admission
from retrieval_server.transport.guard import outcome, parsed
from retrieval_server.transport.streams import Streams
from towers.diversity import POOL

logger = logging.getLogger(__name__)
SERVICE_NAME: str = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].full_name

Request = RecallRequest | RerankRequest | RecommendRequest | SimilarItemsRequest


class _About(TypedDict):
    unknown_item_ids: Sequence[str]
    unknown_item_count: int
    truncated: bool
    fallback_reason: str


class _Notes(TypedDict):
    bundle_version: str
    degraded: Sequence[str]
    degraded_reasons: Sequence[str]
    timings: Sequence[Timing]


class RetrievalService(RetrievalServiceServicer):
    """Answers the calls of the API from the bundle in a slot.

    Args:
        slot: where each request takes its bundle from.
        pipeline: computes.
        recorder: records what users do, and tells it.
        admission: says what there is time for.
        observer: is told what stages took.
        streams: the streams of requests that are open.
        config: limits and defaults of a request.
    """

    def __init__(
        self,
        slot: BundleSlot,
        pipeline: Pipeline,
        recorder: Recorder,
        streams: Streams,
        admission: Admission,
        observer: Observer,
        config: ServeConfig,
    ) -> None:
        self._slot = slot
        self._recorder = recorder
        self._admission = admission
        self._observer = observer
        self._pipeline = pipeline
        self._streams = streams
        self._config = config

    def Recall(self, request: RecallRequest, context: grpc.ServicerContext) -> RecallResponse:
        """The best k items of the whole catalogue."""
        asker = check_recall(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._slot.take()
        profile = self._profile(bundle, asker, budget)
        wanted = self._wanted(bundle, request, request.HasField("diversity"))
        found = self._pipeline.recall(bundle, profile, wanted, budget)
        return RecallResponse(
            item_ids=bundle.item_ids[found.rows].tolist(),
            scores=found.scores.tolist(),
            titles=_titles(bundle, found.rows, request.with_titles),
            diversified=_told(found.diversified),
            fallback=name_of_fallback(bundle, profile),
            channels=_channels(found.recalled, found.rows, request.explain),
            **_about(profile),
            **self._notes(bundle, request, budget),
        )

    def Rerank(self, request: RerankRequest, context: grpc.ServicerContext) -> RerankResponse:
        """Given candidates in order."""
        asker = check_rerank(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._slot.take()
        profile = self._profile(bundle, asker, budget)
        found = self._pipeline.rerank(bundle, profile, request.candidate_ids, budget)
        return RerankResponse(
            item_ids=found.item_ids,
            scores=found.scores,
            titles=found.titles if request.with_titles else (),
            unknown_candidate_ids=found.unknown,
            reranked_count=found.reranked,
            **_about(profile),
            **self._notes(bundle, request, budget),
        )

    def Recommend(self, request: RecommendRequest, context: grpc.ServicerContext) -> RecommendResponse:
        """Recall and Rerank in one hop."""
        asker = check_recommend(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._slot.take()
        profile = self._profile(bundle, asker, budget)
        diverse = request.HasField("diversity") or self._config.diversify
        wanted = self._wanted(bundle, request, diverse)
        candidates = request.candidates or self._config.rerank.candidates
        pool = min(max(wanted.pool, candidates), self._config.limits.candidates)
        found = self._pipeline.recommend(bundle, profile, replace(wanted, pool=pool), budget)
        return RecommendResponse(
            item_ids=bundle.item_ids[found.rows].tolist(),
            scores=found.scores.tolist(),
            titles=_titles(bundle, found.rows, request.with_titles),
            recall_scores=found.recall_scores.tolist(),
            reranked_count=found.reranked,
            diversified=_told(found.diversified),
            ranked=found.ranked,
            fallback=name_of_fallback(bundle, profile),
            channels=_channels(found.recalled, found.rows, request.explain),
            **_about(profile),
            **self._notes(bundle, request, budget),
        )

    def RecommendStream(  # type: ignore[override]  # bytes, where the generated base says messages
        self, request_iterator: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[RecommendStreamResponse]:
        """Recommend for each request of a stream; the guard hands messages over as they came."""
        for position, message in enumerate(self._streams.messages(request_iterator, context)):
            found = outcome("RecommendStream", lambda: self._recommend_one(message, context))  # noqa: B023
            if isinstance(found, CallError):
                yield RecommendStreamResponse(position=position, error=found.message())
            else:
                yield RecommendStreamResponse(position=position, answer=found)

    def SimilarItems(self, request: SimilarItemsRequest, context: grpc.ServicerContext) -> SimilarItemsResponse:
        """The items most like given ones."""
        check_similar(request, self._config.limits)
        budget = self._budget(request, context)
        bundle = self._slot.take()
        rows = rows_of(bundle, request.item_ids)
        unknown = [item_id for item_id in request.item_ids if item_id not in bundle.row_of]
        wanted = Wanted(request.k, exclude_ids=request.exclude_ids, filter=filter_of(request.filter))
        found = self._pipeline.similar(bundle, np.unique(rows), wanted, budget)
        return SimilarItemsResponse(
            item_ids=bundle.item_ids[found.rows].tolist(),
            scores=found.scores.tolist(),
            titles=_titles(bundle, found.rows, request.with_titles),
            unknown_item_ids=list(dict.fromkeys(unknown)),
            unknown_item_count=len(unknown),
            fallback_reason=FallbackReason.NONE if len(rows) else FallbackReason.UNKNOWN_ITEMS,
            **self._notes(bundle, request, budget),
        )

    def RecordEvents(self, request: RecordEventsRequest, context: grpc.ServicerContext) -> RecordEventsResponse:
        """Events written down and remembered."""
        recorded = self._recorder.record(check_events(request, self._config.limits))
        self._observer.recorded(recorded.recorded, recorded.repeated)
        return RecordEventsResponse(recorded_count=recorded.recorded, repeated_count=recorded.repeated)

    def _profile(self, bundle: ServedBundle, asker: Asker, budget: Budget) -> Profile:
        """The asker in the bundle's terms, with what they did since it was built, or without if that cannot be told."""
        with budget.stage(Stage.RESOLVE):
            if not asker.user_id or asker.item_ids:
                return resolve(bundle, asker)
            try:
                return resolve(bundle, asker, self._recorder.recent(asker.user_id))
            except StoreUnavailable as error:
                logger.warning("answered without recorded events: %s", error)
                budget.degraded[Stage.EVENTS] = Reason.UNAVAILABLE
                return resolve(bundle, asker)

    def _wanted(self, bundle: ServedBundle, request: RecallRequest | RecommendRequest, diverse: bool) -> Wanted:
        """What may come back, and where it is to be diverse, the pool that it is chosen from."""
        wanted = Wanted(request.k, request.include_seen, request.exclude_ids, filter_of(request.filter))
        if not diverse:
            return wanted
        how = diversity_of(request.diversity, self._config.diversity, bundle)
        return replace(wanted, diversity=how, pool=max(POOL * request.k, self._config.rerank.candidates))

    def _recommend_one(self, message: bytes, context: grpc.ServicerContext) -> RecommendResponse:
        return self.Recommend(parsed(RecommendRequest.FromString, message), context)

    def _budget(self, request: Request, context: grpc.ServicerContext) -> Budget:
        seconds = (request.budget_ms or self._config.budget_ms) / 1000
        patience = context.time_remaining()
        return Budget(
            seconds, float("inf") if patience is None else patience, context.is_active, self._admission.pressure()
        )

    def _notes(self, bundle: ServedBundle, request: Request, budget: Budget) -> _Notes:
        """What every answer says about itself."""
        self._observer.stages(budget)
        timings = budget.timings.items() if request.with_timings else ()
        return _Notes(
            bundle_version=bundle.version,
            degraded=list(budget.degraded),
            degraded_reasons=list(budget.degraded.values()),
            timings=[Timing(stage=stage, milliseconds=1000 * seconds) for stage, seconds in timings],
        )


def _about(profile: Profile) -> _About:
    """What an answer says about what was made of the one asking."""
    return _About(
        unknown_item_ids=profile.unknown_item_ids,
        unknown_item_count=profile.unknown_item_count,
        truncated=profile.truncated,
        fallback_reason=profile.reason,
    )


def _told(diversified: Diversified | None) -> DiversifiedMessage | None:
    return None if diversified is None else diversified.message()


def _channels(recalled: Ranking, rows: NDArray[np.int64], wanted: bool) -> Sequence[Channel]:
    """What each channel said of some rows of a ranking."""
    if not wanted:
        return ()
    if recalled.pooled is None:
        place = {row: number for number, row in enumerate(recalled.rows.tolist())}
        at = [place[row] for row in rows.tolist()]
        return [Channel(name=recalled.channel, places=[one + 1 for one in at], scores=recalled.scores[at].tolist())]
    scores, places = recalled.pooled.said(rows)
    return [
        Channel(name=name, places=places[:, number].tolist(), scores=scores[:, number].tolist())
        for number, name in enumerate(recalled.pooled.names)
    ]


def _titles(bundle: ServedBundle, rows: NDArray[np.int64], wanted: bool) -> Sequence[str]:
    titles: list[str] = bundle.titles[rows].tolist() if wanted else []
    return titles
