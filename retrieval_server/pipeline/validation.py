"""Requests checked against the limits, before anything is computed or allocated for them.

Each check returns its violations, so that a caller hears of everything that is wrong at once.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.api.limits import identifiers, size
from retrieval_server.api.requester import Asker
from retrieval_server.config import Limits
from retrieval_server.events.user_events import UserEvent
from retrieval_server.pipeline.diversify import check_diversity
from retrieval_server.pipeline.filter import check_filter
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Event,
    History,
    RecallRequest,
    RecommendRequest,
    RecordEventsRequest,
    RerankRequest,
    SimilarItemsRequest,
)

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z. Milliseconds of our day lie beyond it, which is how they are told from seconds."""


def check_recall(request: RecallRequest, limits: Limits) -> Asker:
    """Who is asking, once the request is found to be within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _asker_or_raise(
        request,
        limits,
        *_count("k", request.k, limits.k, "limits.k"),
        *_excluded(request.exclude_ids, limits),
        *check_filter(request.filter, limits),
        *check_diversity(request, limits),
    )


def check_rerank(request: RerankRequest, limits: Limits) -> Asker:
    """Who is asking, once the request is found to be within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _asker_or_raise(request, limits, *_several("candidate_ids", request.candidate_ids, limits))


def check_recommend(request: RecommendRequest, limits: Limits) -> Asker:
    """Who is asking, once the request is found to be within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _asker_or_raise(
        request,
        limits,
        *_count("k", request.k, limits.candidates, "limits.candidates"),
        *_candidate_count(request.candidates, limits),
        *_excluded(request.exclude_ids, limits),
        *check_filter(request.filter, limits),
        *check_diversity(request, limits),
    )


def check_similar(request: SimilarItemsRequest, limits: Limits) -> None:
    """Go on only with a request within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    violations = [
        *_several("item_ids", request.item_ids, limits),
        *_count("k", request.k, limits.k, "limits.k"),
        *_excluded(request.exclude_ids, limits),
        *check_filter(request.filter, limits),
        *_budget(request.budget_ms, limits),
    ]
    if violations:
        raise InvalidRequest(violations)


def check_events(request: RecordEventsRequest, limits: Limits) -> Sequence[UserEvent]:
    """The events, once the request is found to be within the limits. One without a time happened now.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    count = len(request.events)
    if not 1 <= count <= limits.events:
        raise InvalidRequest([Violation("events", f"has {count}; send 1 to {limits.events} (limits.events)")])
    violations = [v for place, event in enumerate(request.events) for v in _event(f"events[{place}]", event, limits)]
    if violations:
        raise InvalidRequest(violations)
    now = time.time()
    return [
        UserEvent(event.event_id, event.user_id, event.item_id, event.event, event.timestamp or now)
        for event in request.events
    ]


def _event(place: str, event: Event, limits: Limits) -> Iterator[Violation]:
    for name in ("event_id", "user_id", "item_id"):
        if not getattr(event, name):
            yield Violation(f"{place}.{name}", "is empty; every event says it")
    for name in ("event_id", "user_id", "item_id", "event"):
        yield from size(f"{place}.{name}", getattr(event, name), limits.id_bytes, "limits.id_bytes")
    if not 0 <= event.timestamp <= LAST_SECOND:
        yield Violation(
            f"{place}.timestamp",
            f"is not a time between 0 and {LAST_SECOND}; send seconds since 1970 UTC, not milliseconds, or 0 for now",
        )


def _asker_or_raise(
    request: RecallRequest | RerankRequest | RecommendRequest, limits: Limits, *found: Violation
) -> Asker:
    violations = [
        *size("user_id", request.user_id, limits.id_bytes, "limits.id_bytes"),
        *_history(request.history, limits),
        *size("query", request.query, limits.query_bytes, "limits.query_bytes"),
        *_budget(request.budget_ms, limits),
        *found,
    ]
    query = request.query.strip()
    if not (request.user_id or request.history.item_ids or query):
        violations.append(Violation("", "nothing says who is asking: give at least one of user_id, history and query"))
    if violations:
        raise InvalidRequest(violations)
    return Asker(
        user_id=request.user_id,
        item_ids=request.history.item_ids,
        events=request.history.events,
        timestamps=request.history.timestamps,
        query=query,
    )


def _count(field: str, value: int, limit: int, name: str) -> Iterator[Violation]:
    if not 1 <= value <= limit:
        yield Violation(field, f"is {value}; ask for 1 to {limit} ({name})")


def _candidate_count(value: int, limits: Limits) -> Iterator[Violation]:
    if not 0 <= value <= limits.candidates:
        yield Violation(
            "candidates",
            f"is {value}; ask for 1 to {limits.candidates} (limits.candidates), or 0 for the server's default",
        )


def _several(field: str, item_ids: Sequence[str], limits: Limits) -> Iterator[Violation]:
    if not 1 <= len(item_ids) <= limits.candidates:
        yield Violation(field, f"has {len(item_ids)} items; send 1 to {limits.candidates} (limits.candidates)")
        return
    yield from identifiers(field, item_ids, limits)


def _excluded(item_ids: Sequence[str], limits: Limits) -> Iterator[Violation]:
    if len(item_ids) > limits.exclude:
        yield Violation("exclude_ids", f"has {len(item_ids)} items; send at most {limits.exclude} (limits.exclude)")
        return
    yield from identifiers("exclude_ids", item_ids, limits)


def _budget(milliseconds: int, limits: Limits) -> Iterator[Violation]:
    if not 0 <= milliseconds <= limits.budget_ms:
        yield Violation(
            "budget_ms",
            f"is {milliseconds}; give 1 to {limits.budget_ms} (limits.budget_ms), or 0 for the server's default",
        )


def _history(history: History, limits: Limits) -> Iterator[Violation]:
    length = len(history.item_ids)
    if length > limits.history:
        yield Violation(
            "history.item_ids",
            f"has {length} items; send the newest {limits.history} at most (limits.history)",
        )
        return
    yield from identifiers("history.item_ids", history.item_ids, limits)
    yield from _parallel("history.events", len(history.events), length)
    yield from identifiers("history.events", history.events[: limits.history], limits)
    yield from _parallel("history.timestamps", len(history.timestamps), length)
    yield from _times(history.timestamps)


def _parallel(field: str, found: int, length: int) -> Iterator[Violation]:
    if found not in (0, length):
        yield Violation(field, f"has {found} entries for {length} in history.item_ids; send one for each, or none")


def _times(timestamps: Sequence[float]) -> Iterator[Violation]:
    times = np.fromiter(timestamps, np.float64, len(timestamps))  # [L]
    outside = ~((times >= 0) & (times <= LAST_SECOND))  # [L], so put that NaN is outside
    if outside.any():
        yield Violation(
            f"history.timestamps[{int(outside.argmax())}]",
            f"is not a time between 0 and {LAST_SECOND}; send seconds since 1970 UTC, not milliseconds",
        )
        return
    backwards = np.diff(times) < 0  # [L - 1]
    if backwards.any():
        yield Violation(
            f"history.timestamps[{int(backwards.argmax()) + 1}]",
            "is earlier than the one before it; send the history oldest first",
        )
