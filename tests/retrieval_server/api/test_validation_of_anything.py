"""Any request and any bytes: a documented status, a sound answer, and a server that lives."""

from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings, strategies as st

from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Filter,
    History,
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecommendResponse,
    RerankRequest,
    RerankResponse,
    SimilarItemsRequest,
    SimilarItemsResponse,
)
from tests.retrieval_server.shop import ITEMS, item

ALLOWED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
RESPONSES: dict[str, Any] = {
    "Recall": RecallResponse,
    "Rerank": RerankResponse,
    "Recommend": RecommendResponse,
    "SimilarItems": SimilarItemsResponse,
}

text = st.text(max_size=40) | st.sampled_from(["", " ", "\x00", "milk", "x" * 5000])
item_ids = st.lists(st.integers(0, ITEMS + 3).map(item) | text, max_size=60)
histories = st.builds(
    History,
    item_ids=item_ids,
    events=st.just([]) | st.lists(text, max_size=5),
    timestamps=st.just([]) | st.lists(st.floats(), max_size=5),
)
prices = st.none() | st.floats()
filters = st.builds(
    Filter,
    categories=st.lists(text | st.sampled_from(["c1", "c2"]), max_size=3),
    brands=st.lists(text | st.sampled_from(["b1", "b2"]), max_size=3),
    min_price=prices,
    max_price=prices,
    in_stock=st.none() | st.booleans(),
    allow_ids=st.just([]) | item_ids,
    deny_ids=item_ids,
)
numbers = st.integers(1, 30) | st.integers(-(2**31), 2**31 - 1)
who = {"user_id": text | st.just("ann"), "history": histories, "query": text, "with_titles": st.booleans()}
requests = st.one_of(
    st.builds(RecallRequest, **who, k=numbers, include_seen=st.booleans(), exclude_ids=item_ids, filter=filters),
    st.builds(RerankRequest, **who, candidate_ids=item_ids, budget_ms=numbers),
    st.builds(SimilarItemsRequest, item_ids=item_ids, exclude_ids=item_ids, k=numbers, filter=filters),
    st.builds(RecommendRequest, **who, k=numbers, candidates=numbers, include_seen=st.booleans(), filter=filters),
)
fuzz = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answer_to(channel: grpc.Channel, method: str, message: bytes) -> Any:
    """The parsed answer, or None when it is refused with a status that it may be refused with."""
    try:
        answer = channel.unary_unary(f"/retrieval.v1.RetrievalService/{method}")(message, timeout=10)
    except grpc.RpcError as error:
        assert error.code() in ALLOWED, error
        return None
    return RESPONSES[method].FromString(answer)


def assert_sound(answer: Any) -> None:
    assert len(answer.item_ids) == len(answer.scores) == len(set(answer.item_ids))
    assert len(answer.titles) in (0, len(answer.item_ids))
    assert list(answer.scores) == sorted(answer.scores, reverse=True)
    assert answer.bundle_version


@fuzz
@given(request=requests)
def test_any_request_is_answered_soundly_or_refused(channel: grpc.Channel, request: Any) -> None:
    method = type(request).__name__.removesuffix("Request")
    answer = answer_to(channel, method, request.SerializeToString())
    if answer is not None:
        assert_sound(answer)


@fuzz
@given(method=st.sampled_from(sorted(RESPONSES)), message=st.binary(max_size=300))
def test_any_bytes_are_answered_soundly_or_refused(channel: grpc.Channel, method: str, message: bytes) -> None:
    answer = answer_to(channel, method, message)
    if answer is not None:
        assert_sound(answer)


@fuzz
@given(request=requests, data=st.data())
def test_any_damaged_request_is_answered_soundly_or_refused(
    channel: grpc.Channel, request: Any, data: st.DataObject
) -> None:
    message = bytearray(request.SerializeToString())
    if message:
        place = data.draw(st.integers(0, len(message) - 1))
        message[place] ^= data.draw(st.integers(1, 255))
    method = type(request).__name__.removesuffix("Request")
    answer = answer_to(channel, method, bytes(message))
    if answer is not None:
        assert_sound(answer)
