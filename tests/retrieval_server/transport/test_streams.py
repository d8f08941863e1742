"""RecommendStream: many users over one connection."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.client.requests import RecommendOptions
from retrieval_server.config import ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import RecommendRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from tests.retrieval_server.shop import Gated, item


def test_each_request_gets_the_answer_it_would_get_alone_in_order(client: RetrievalClient) -> None:
    requests: list[RecommendOptions] = [
        {"history": [item(row)], "k": 5, "query": "milk" * (row % 3)} for row in range(100)
    ]
    answers = list(client.recommend_many(iter(requests)))
    assert answers == [client.recommend(**request) for request in requests]


def test_a_refused_request_has_its_error_in_its_place_and_ends_nothing(client: RetrievalClient) -> None:
    first, wrong, last = client.recommend_many([{"query": "milk"}, {"query": "milk", "k": 0}, {"query": "bread"}])
    assert first.item_ids and last.item_ids
    assert isinstance(wrong, RetrievalError)
    assert wrong.code is grpc.StatusCode.INVALID_ARGUMENT
    assert wrong.reason == "INVALID_REQUEST"
    assert wrong.fields.keys() == {"k"}


def test_a_message_that_cannot_be_parsed_is_refused_in_its_place(channel: grpc.Channel) -> None:
    call = channel.stream_stream("/retrieval.v1.RetrievalService/RecommendStream")
    sound = RecommendRequest(query="milk", k=3).SerializeToString()
    answers = list(call(iter([b"\xff\xff", sound]), timeout=30))
    assert len(answers) == 2


def test_no_more_streams_than_the_limit_are_open(client: RetrievalClient, config: ServeConfig) -> None:
    feeds: list[SimpleQueue[RecommendOptions | None]] = [SimpleQueue() for _ in range(config.streams)]
    streams = [client.recommend_many(iter(feed.get, None)) for feed in feeds]
    for feed, stream in zip(feeds, streams, strict=True):
        feed.put({"query": "milk"})
        assert next(stream).item_ids
    with pytest.raises(RetrievalError, match=r"\(streams\)") as refused:
        next(client.recommend_many([{"query": "milk"}]))
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.recall(query="milk").item_ids, "plain calls have workers of their own"
    for feed, stream in zip(feeds, streams, strict=True):
        feed.put(None)
        assert list(stream) == []
    assert next(client.recommend_many([{"query": "milk"}])).item_ids


def test_a_stopping_server_ends_a_stream_after_the_answer_at_hand(gated: Gated) -> None:
    with grpc.insecure_channel(gated.server.address) as channel, ThreadPoolExecutor(1) as pool:
        request = RecommendRequest(query="milk", k=3)
        stream = RetrievalServiceStub(channel).RecommendStream(iter([request, request]), timeout=60)
        gated.encoder.wait_until_busy()
        draining = pool.submit(gated.drain, 0.0)
        gated.server.streams.stopping.wait(30)
        gated.encoder.open()
        assert len(next(stream).answer.item_ids) == 3
        with pytest.raises(grpc.RpcError) as ended:
            next(stream)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert draining.result(60)


def test_a_stream_that_waits_for_its_caller_does_not_hold_a_stopping_server_up(gated: Gated) -> None:
    gated.encoder.open()
    feed: SimpleQueue[RecommendRequest | None] = SimpleQueue()
    with grpc.insecure_channel(gated.server.address) as channel:
        messages: Iterator[RecommendRequest] = iter(feed.get, None)
        stream = RetrievalServiceStub(channel).RecommendStream(messages, timeout=60)
        feed.put(RecommendRequest(query="milk", k=3))
        assert next(stream).answer.item_ids
        assert gated.drain(0.0, 20.0)
        with pytest.raises(grpc.RpcError) as ended:
            next(stream)
        assert ended.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        feed.put(None)
