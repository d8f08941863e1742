"""Traces by OpenTelemetry: a span for each call, by gRPC's standard instrumentation, and one for each of its stages."""

import time
from collections.abc import Sequence
from typing import Any, Self

import grpc

from data_prep.errors import UsageError
from retrieval_server.api.budget import StageSpan
from retrieval_server.api.errors import CallError
from retrieval_server.config import TracingConfig

SERVICE = "twotower"
"""Service name of the spans, unless `OTEL_SERVICE_NAME` says otherwise."""

STATUS = "rpc.grpc.status_code"
"""Attribute by which gRPC's instrumentation names a call's status."""


class Tracing:
    """Makes the spans of a server. They hold neither histories nor queries.

    Args:
        provider: OpenTelemetry's tracer provider, which says where finished spans go.

    Attributes:
        interceptor: puts a span around each call, which continues the caller's trace where the call brings one.
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.instrumentation.grpc import server_interceptor

        self._provider = provider
        self._trace = trace
        self._tracer = provider.get_tracer("retrieval_server")
        self.interceptor: grpc.ServerInterceptor = server_interceptor(tracer_provider=provider)

    @classmethod
    def of(cls, config: TracingConfig) -> Self | None:
        """Tracing as configured, None for none: spans go to a collector over OTLP.

        Raises:
            UsageError: it is enabled and OpenTelemetry is not installed.
        """
        if not config.enabled:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

            resource = Resource.create({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect())
            provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(config.share)))
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=config.endpoint)))
            return cls(provider)
        except ImportError as error:
            raise UsageError("tracing.enabled: OpenTelemetry is missing; pip install 'twotower[otel]'") from error

    def stages(self, spans: Sequence[StageSpan]) -> None:
        """Spans of a call's stages, under the call's own: some were run by another call's thread, for several."""
        wall = time.time_ns() - time.monotonic_ns()
        for span in spans:
            started, ended = (wall + round(1e9 * moment) for moment in (span.started, span.ended))
            self._tracer.start_span(span.stage.value, start_time=started).end(end_time=ended)

    def failed(self, error: CallError) -> None:
        """Note how the call at hand ends: the instrumentation does not see statuses with details."""
        span = self._trace.get_current_span()
        span.set_attribute(STATUS, error.code.value[0])
        span.set_attribute("error.type", error.reason)
        span.set_status(self._trace.StatusCode.ERROR)

    def close(self) -> None:
        """Send what is still to be sent."""
        self._provider.shutdown()
