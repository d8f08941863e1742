"""How a server stops: no accepted call is lost, new ones are refused, nobody who merely watches holds it up."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NoReturn

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.api.errors import NotChanged
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from tests.retrieval_server.shop import Gated

CALLS = 200


def test_no_call_in_flight_is_lost_and_health_turns_first(gated: Gated) -> None:
    with grpc.insecure_channel(gated.server.address) as channel, ThreadPoolExecutor(1) as pool:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(), timeout=60)
        assert next(watch).status == HealthCheckResponse.SERVING
        stub = RetrievalServiceStub(channel)
        calls = [stub.Recall.future(RecallRequest(query="milk", k=3), timeout=60) for _ in range(CALLS)]
        handlers = gated.server.handlers
        while handlers.waiting + handlers.count < CALLS:  # a call that has not arrived is not in flight
            time.sleep(0.001)
        draining = pool.submit(gated.drain)
        assert next(watch).status == HealthCheckResponse.NOT_SERVING, "while every call still waits for the encoder"
        gated.encoder.open()
        assert sum(len(call.result().item_ids) == 3 for call in calls) == CALLS
        assert draining.result(60), "all calls finished within the grace"


def test_calls_are_refused_and_health_is_told_while_those_in_flight_finish(gated: Gated) -> None:
    with RetrievalClient(gated.server.address) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.recall, query="milk")
        gated.encoder.wait_until_busy()
        with grpc.insecure_channel(gated.server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(), timeout=60)
            assert next(watch).status == HealthCheckResponse.SERVING
            draining = pool.submit(gated.drain, lame_duck_seconds=0.0)
            with pytest.raises(grpc.RpcError):  # the streams end when calls are turned away
                for answer in watch:
                    assert answer.status == HealthCheckResponse.NOT_SERVING
        for ask in (lambda: client.recall(query="bread"), client.status, lambda: client.record_events([])):
            with pytest.raises(RetrievalError) as refused:
                ask()
            assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.UNAVAILABLE, "STOPPING")
        assert not client.is_serving()
        gated.encoder.open()
        assert first.result(30).item_ids
        assert draining.result(60), "all calls finished within the grace"


def test_a_call_of_an_operator_is_finished_before_the_server_stops(gated: Gated) -> None:
    with RetrievalClient(gated.server.address) as client, ThreadPoolExecutor(2) as pool:
        begun, may_end = Event(), Event()

        def slowly(items: object) -> NoReturn:
            begun.set()
            assert may_end.wait(60)
            raise NotChanged("for the test")

        gated.server.items.upsert = slowly  # type: ignore[method-assign]
        changing = pool.submit(client.upsert_items, [{"item_id": "new", "text": "new"}])
        assert begun.wait(60)
        draining = pool.submit(gated.drain, lame_duck_seconds=0.0)
        assert gated.server.streams.stopping.wait(60)
        may_end.set()
        with pytest.raises(RetrievalError) as ended:
            changing.result(60)
        assert ended.value.reason == "NOT_CHANGED", "what the call itself had to say"
        assert draining.result(60)


def test_a_stream_that_watches_health_does_not_hold_the_server_up(gated: Gated) -> None:
    with grpc.insecure_channel(gated.server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(HealthCheckRequest(), timeout=60)
        next(watch)
        started = time.monotonic()
        assert gated.drain(lame_duck_seconds=0.0)
        assert time.monotonic() - started < 10


def test_calls_that_outlast_the_grace_are_cut_off_and_that_is_told(gated: Gated) -> None:
    with RetrievalClient(gated.server.address) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.recall, query="milk")
        gated.encoder.wait_until_busy()
        assert not gated.drain(lame_duck_seconds=0.0, grace_seconds=0.2)
        with pytest.raises(RetrievalError):
            call.result(30)
        gated.encoder.open()
