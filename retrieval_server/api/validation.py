"""Requests checked against the limits, before anything is computed or allocated for them: one function a call.

All violations of a request are reported together, so that a caller hears of everything that is wrong at once.
"""

from collections.abc import Iterable

from retrieval_server.api import field_checks
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.api.limits import Limits
from retrieval_server.api.requester import Requester
from retrieval_server.retrieval.v1.admin_pb2 import DeleteItemsRequest, UpsertItemsRequest
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    RecallRequest,
    RecommendRequest,
    RecordEventsRequest,
    RerankRequest,
    SimilarItemsRequest,
)


def check_recall(request: RecallRequest, limits: Limits) -> Requester:
    """The requester of a Recall that is within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _requester_or_raise(
        request,
        limits,
        *field_checks.item_count("k", request.k, limits.k, "limits.k"),
        *field_checks.excluded_items(request.exclude_ids, limits),
        *field_checks.item_filter(request.filter, limits),
        *field_checks.diversity(request, limits),
    )


def check_rerank(request: RerankRequest, limits: Limits) -> Requester:
    """The requester of a Rerank that is within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _requester_or_raise(
        request, limits, *field_checks.given_items("candidate_ids", request.candidate_ids, limits)
    )


def check_recommend(request: RecommendRequest, limits: Limits) -> Requester:
    """The requester of a Recommend that is within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    return _requester_or_raise(
        request,
        limits,
        *field_checks.item_count("k", request.k, limits.candidates, "limits.candidates"),
        *field_checks.candidate_count(request.candidates, limits),
        *field_checks.excluded_items(request.exclude_ids, limits),
        *field_checks.item_filter(request.filter, limits),
        *field_checks.diversity(request, limits),
    )


def check_similar(request: SimilarItemsRequest, limits: Limits) -> None:
    """Refuse a SimilarItems beyond the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    _raise_any(
        [
            *field_checks.given_items("item_ids", request.item_ids, limits),
            *field_checks.item_count("k", request.k, limits.k, "limits.k"),
            *field_checks.excluded_items(request.exclude_ids, limits),
            *field_checks.item_filter(request.filter, limits),
            *field_checks.budget(request.budget_ms, limits),
        ]
    )


def check_events(request: RecordEventsRequest, limits: Limits) -> None:
    """Refuse a RecordEvents beyond the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    _raise_any(field_checks.entry_count("events", len(request.events), limits.events, "limits.events"))
    _raise_any(
        violation
        for position, event in enumerate(request.events)
        for violation in field_checks.event(f"events[{position}]", event, limits)
    )


def check_upsert(request: UpsertItemsRequest, limits: Limits) -> None:
    """Refuse an UpsertItems beyond the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    _raise_any(field_checks.entry_count("items", len(request.items), limits.items, "limits.items"))
    _raise_any(
        violation
        for position, item in enumerate(request.items)
        for violation in field_checks.item(f"items[{position}]", item, limits)
    )


def check_delete(request: DeleteItemsRequest, limits: Limits) -> None:
    """Refuse a DeleteItems beyond the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    _raise_any(field_checks.entry_count("item_ids", len(request.item_ids), limits.items, "limits.items"))
    _raise_any(field_checks.identifiers("item_ids", request.item_ids, limits))


def _requester_or_raise(
    request: RecallRequest | RerankRequest | RecommendRequest, limits: Limits, *other_violations: Violation
) -> Requester:
    query = request.query.strip()
    anonymous = not (request.user_id or request.history.item_ids or query)
    _raise_any(
        [
            *field_checks.size("user_id", request.user_id, limits.id_bytes, "limits.id_bytes"),
            *field_checks.history(request.history, limits),
            *field_checks.size("query", request.query, limits.query_bytes, "limits.query_bytes"),
            *field_checks.budget(request.budget_ms, limits),
            *other_violations,
            *(
                [Violation("", "nothing says who is asking: give at least one of user_id, history and query")]
                * anonymous
            ),
        ]
    )
    return Requester(
        user_id=request.user_id,
        item_ids=request.history.item_ids,
        events=request.history.events,
        timestamps=request.history.timestamps,
        query=query,
    )


def _raise_any(violations: Iterable[Violation]) -> None:
    violations = list(violations)
    if violations:
        raise InvalidRequest(violations)
