"""The observer of calls: numbers for Prometheus, spans, and the log's lines. Never a history or a query."""

from collections.abc import Sequence
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from retrieval_server.api.budget import Budget
from retrieval_server.api.errors import CallError
from retrieval_server.retrieval.v1 import admin_pb2, retrieval_pb2
from retrieval_server.telemetry.call_log import log_call
from retrieval_server.telemetry.tracing import Tracing

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the classes that durations are counted in."""

METHODS = {
    f"/{service.full_name}/{method.name}": method.name
    for file in (retrieval_pb2.DESCRIPTOR, admin_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}
"""Names that calls are counted under; callers can make up others, which would each be kept for good."""


class Observer:
    """Counts and logs. Each server has one, with a registry of its own.

    Args:
        log_calls: whether each call gets a line in the log.
        tracing: makes spans, None for none.

    Attributes:
        registry: of the numbers that Prometheus reads.
    """

    def __init__(self, log_calls: bool, tracing: Tracing | None = None) -> None:
        self.registry = CollectorRegistry()
        self._log_calls = log_calls
        self._tracing = tracing
        self._calls = self._counter("calls", "Calls that ended, by method and status.", "method", "code")
        self._seconds = self._histogram("call_seconds", "Time from a handler's taking a call to its answer.", "method")
        self._stages = self._histogram("stage_seconds", "Time that the stages of answers took.", "stage")
        self._degraded = self._counter("degraded", "Stages skipped or cut short, by reason.", "stage", "reason")
        self._fallbacks = self._counter(
            "fallbacks", "Answers not built on what the request named.", "reason", "fallback"
        )
        self._unknown = self._counter("unknown_items", "Items of requests that the bundle did not have.")
        self._events = self._counter("events", "Events sent to RecordEvents: new ones and repetitions.", "outcome")
        self._swaps = self._counter("swaps", "Swaps and rollbacks, by outcome.", "outcome")
        self._bundle = Info("retrieval_bundle", "The version being served.", registry=self.registry)
        self._items = self._gauge("items", "Items of the version being served.")
        self._batches = Histogram(
            "retrieval_batch_calls",
            "Calls computed in one go.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )
        self._lookups = self._counter("cache_lookups", "Recalls looked up in the cache, by outcome.", "outcome")
        self._waiting = self._gauge("waiting_calls", "Calls that wait for a handler.")
        self._ready = self._gauge("ready", "1 when health says SERVING, else 0.")

    def watch_waiting(self, handlers: Any) -> None:
        """Read the number of waiting calls from `handlers.waiting` whenever it is asked for."""
        self._waiting.set_function(lambda: float(handlers.waiting))

    def ready(self, ready: bool) -> None:
        """Note the answer of the health check."""
        self._ready.set(float(ready))

    def serving(self, version: str, items: int) -> None:
        """Note the version that is served from now on."""
        self._bundle.info({"version": version})
        self._items.set(items)

    def swapped(self, outcome: str) -> None:
        """Count a swap: "swapped" or "refused"."""
        self._swaps.labels(outcome).inc()

    def recorded(self, new: int, repeated: int) -> None:
        """Count events."""
        self._events.labels("new").inc(new)
        self._events.labels("repeated").inc(repeated)

    def batch(self, size: int) -> None:
        """Count a batch of calls."""
        self._batches.observe(size)

    def looked_up(self, outcome: str) -> None:
        """Count a lookup in the cache: "hit", "miss" or "joined"."""
        self._lookups.labels(outcome).inc()

    def stages(self, budget: Budget) -> None:
        """Note the stages of an answer."""
        for stage, seconds in budget.timings.items():
            self._stages.labels(stage).observe(seconds)
        if self._tracing is not None:
            self._tracing.stages(budget.spans)

    def ended(self, method: str, metadata: Sequence[Any], outcome: Any, seconds: float) -> None:
        """Note a call that ended.

        Args:
            method: as gRPC names it, `/service/Method`.
            metadata: of the call, pairs.
            outcome: its answer, or the error it ended with.
            seconds: that it took.
        """
        name = METHODS.get(method, "other")
        code = outcome.code if isinstance(outcome, CallError) else grpc.StatusCode.OK
        self._calls.labels(name, code.name).inc()
        self._seconds.labels(name).observe(seconds)
        reasons = dict(zip(getattr(outcome, "degraded", ()), getattr(outcome, "degraded_reasons", ()), strict=True))
        for stage, reason in reasons.items():
            self._degraded.labels(stage, reason).inc()
        if reason := getattr(outcome, "fallback_reason", ""):
            self._fallbacks.labels(reason, getattr(outcome, "fallback", "")).inc()
        self._unknown.inc(getattr(outcome, "unknown_item_count", 0))
        if self._tracing is not None and isinstance(outcome, CallError):
            self._tracing.failed(outcome)
        if self._log_calls:
            log_call(metadata, name, code.name, seconds, getattr(outcome, "bundle_version", ""), reasons)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"retrieval_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, *labels: str) -> Histogram:
        return Histogram(f"retrieval_{name}", help, labels, registry=self.registry, buckets=SECONDS)

    def _gauge(self, name: str, help: str) -> Gauge:
        return Gauge(f"retrieval_{name}", help, registry=self.registry)
