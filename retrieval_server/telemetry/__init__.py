"""Observation of calls: metrics for Prometheus, a line in the log for each call, traces by OpenTelemetry."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.telemetry.metrics_endpoint import MetricsEndpoint
    from retrieval_server.telemetry.observer import Observer
    from retrieval_server.telemetry.tracing import Tracing

__all__ = ["MetricsEndpoint", "Observer", "Tracing"]

__getattr__ = lazy_names(
    __name__,
    {
        "MetricsEndpoint": "retrieval_server.telemetry.metrics_endpoint",
        "Observer": "retrieval_server.telemetry.observer",
        "Tracing": "retrieval_server.telemetry.tracing",
    },
)
