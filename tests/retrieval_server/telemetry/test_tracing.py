"""Traces: a span for each call, its stages under it, the caller's trace around it, and nothing of a user in any."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from retrieval_server.telemetry.tracing import Tracing
from retrieval_server.transport.server import RetrievalServer

RECALL = "/retrieval.v1.RetrievalService/Recall"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(config: ServeConfig, shop: ServedBundle, exported: InMemorySpanExporter) -> Iterator[RetrievalServer]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    server = RetrievalServer(config, tracing=Tracing(provider))
    server.grpc_server.start()
    server.serve(shop)
    yield server
    server.stop(None)
    server.close()


def finished(server: RetrievalServer, exported: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """Every span by its name, when the calls are over: a span ends after its answer has left."""
    server.stop(None)
    assert server.wait_until_idle(30)
    return {span.name: span for span in exported.get_finished_spans()}


def test_stages_are_children_of_their_call(traced: RetrievalServer, exported: InMemorySpanExporter) -> None:
    with RetrievalClient(traced.address) as client:
        client.recommend(query="milk", user_id="ann", k=2, candidates=4)
    spans = finished(traced, exported)
    call = spans.pop("/retrieval.v1.RetrievalService/Recommend")
    assert set(spans) == {"resolve", "encode", "search", "rerank"}
    assert call.context is not None
    for stage in spans.values():
        assert stage.parent is not None
        assert stage.parent.span_id == call.context.span_id
        assert call.start_time <= stage.start_time <= stage.end_time <= call.end_time  # type: ignore[operator]
    told = [str(value) for span in (call, *spans.values()) for value in (span.attributes or {}).values()]
    assert not any("milk" in value or "ann" in value for value in told)


def test_a_call_continues_its_callers_trace(traced: RetrievalServer, exported: InMemorySpanExporter) -> None:
    with grpc.insecure_channel(traced.address) as channel:
        parent = f"00-{7:032x}-{9:016x}-01"
        RetrievalServiceStub(channel).Recall(RecallRequest(query="milk", k=1), metadata=[("traceparent", parent)])
    call = finished(traced, exported)[RECALL]
    assert call.context is not None
    assert call.parent is not None
    assert (call.context.trace_id, call.parent.span_id) == (7, 9)


def test_an_error_stands_in_its_span(traced: RetrievalServer, exported: InMemorySpanExporter) -> None:
    with RetrievalClient(traced.address) as client, pytest.raises(RetrievalError):
        client.recall(query="milk", k=-1)
    call = finished(traced, exported)[RECALL]
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes is not None
    assert call.attributes["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert call.attributes["error.type"] == "INVALID_REQUEST"


class Collector(TraceServiceServicer):
    def __init__(self) -> None:
        self.received: SimpleQueue[ExportTraceServiceRequest] = SimpleQueue()

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        self.received.put(request)
        return ExportTraceServiceResponse()


def test_spans_reach_a_collector_by_the_time_the_server_has_closed(config: ServeConfig, shop: ServedBundle) -> None:
    collector, transport = Collector(), grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(collector, transport)
    port = transport.add_insecure_port("127.0.0.1:0")
    transport.start()
    tracing = replace(config.tracing, enabled=True, endpoint=f"http://127.0.0.1:{port}")
    server = RetrievalServer(replace(config, tracing=tracing))
    server.grpc_server.start()
    server.serve(shop)
    with RetrievalClient(server.address) as client:
        client.recall(query="milk", k=1)
    server.stop(None)
    assert server.wait_until_idle(30)
    server.close()
    (resource,) = collector.received.get(timeout=30).resource_spans
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    assert {RECALL, "resolve", "encode", "search"} <= names
    assert "twotower" in str(resource.resource)
    transport.stop(None)


def test_without_tracing_there_is_none(config: ServeConfig) -> None:
    assert Tracing.of(config.tracing) is None
