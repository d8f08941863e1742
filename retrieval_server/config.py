"""The server's configuration, as `conf/serve.yaml` spells it."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_prep.config import require
from data_prep.errors import UsageError
from retrieval_server.api.limits import Limits
from towers.diversity import DiversityConfig


@dataclass
class MetricsConfig:
    """Address at which Prometheus reads.

    Attributes:
        host: address to listen on.
        port: port to listen on, 0 for a free one, null for none.
    """

    host: str
    port: int | None


@dataclass
class TlsConfig:
    """Encryption, all null for none.

    Attributes:
        certificate: PEM file of the server's certificate and those between it and its authority.
        key: PEM file of its private key.
        client_ca: PEM file of the authority whose certificates callers have to show; null to let everybody in.
    """

    certificate: Path | None
    key: Path | None
    client_ca: Path | None


@dataclass
class AdmissionConfig:
    """Bounds of admission, in calls waiting for each handler.

    Attributes:
        degrade_at: from here on answers are cut down.
        refuse_at: from here on calls are refused.
    """

    degrade_at: float
    refuse_at: float


@dataclass
class BatchingConfig:
    """Batching of calls that come at the same time.

    Attributes:
        largest: calls in one batch.
        window_ms: milliseconds after a batch to wait for company, for each call that it had.
    """

    largest: int
    window_ms: float


@dataclass
class CacheConfig:
    """Cache of recalls.

    Attributes:
        entries: how many, 0 for none.
        seconds: how long each.
    """

    entries: int
    seconds: float


@dataclass
class RerankingConfig:
    """Running of the cross-encoder.

    Attributes:
        candidates: items that Recommend reranks when the request does not say.
        at_once: candidates scored between two looks at the clock.
        workers: such groups scored at the same time.
    """

    candidates: int
    at_once: int
    workers: int


@dataclass
class TracingConfig:
    """Traces by OpenTelemetry.

    Attributes:
        enabled: whether there are any.
        endpoint: the collector, OTLP over gRPC, `http://127.0.0.1:4317`; null for what `OTEL_EXPORTER_OTLP_ENDPOINT`
            says.
        share: of the traces that begin here, how many are kept; a caller's trace is kept if the caller keeps it.
    """

    enabled: bool
    endpoint: str | None
    share: float


@dataclass
class EventLogConfig:
    """Log of events on the disk.

    Attributes:
        folder: of its files.
        sync_seconds: how long an acknowledged event may wait to be forced to the disk; 0 for not at all.
        segment_bytes: size at which another file is begun.
    """

    folder: Path
    sync_seconds: float
    segment_bytes: int


@dataclass
class ServeConfig:
    """One server process.

    Attributes:
        bundle: a bundle's folder, or a link to one.
        host: address to listen on; a name is resolved and its first address taken.
        port: port to listen on, 0 for a free one.
        allow_insecure: whether a host that other machines can reach is accepted without TLS.
        tls: certificates.
        tokens: file of bearer tokens' hashes and roles; null for none.
        reflection: whether the server describes its API to tools that ask.
        workers: processes that share the port and the bundle's pages.
        handlers: calls that each of them works on at once.
        threads: threads that each of these may use inside the models.
        core: the processor core that they keep to, in the second process the next one; null for any.
        metrics: address at which Prometheus reads.
        json_log: whether the log's lines are JSON objects.
        log_calls: whether each call gets a line.
        tracing: traces by OpenTelemetry.
        max_concurrent_calls: calls accepted at once, waiting ones included.
        admission: how much is taken on before answers are cut down and calls refused.
        max_message_bytes: size of the largest request that is read.
        lame_duck_seconds: how long calls are still accepted after SIGTERM.
        grace_seconds: time from SIGTERM until unfinished calls are cut off.
        budget_ms: milliseconds that an answer may take when the request does not say; what does not fit is left out.
        streams: streams of requests that may be open; each holds a thread.
        batch: batching of calls that come at the same time.
        cache: of recalls.
        catch_up_seconds: how often a process looks for items that others have changed.
        rerank: running of the cross-encoder.
        diversify: whether Recommend makes answers diverse without being asked.
        diversity: defaults of a request for diversity.
        events: log of events on the disk.
        event_store: memory of events while serving; a file of `conf/event_store/`.
        limits: of one request.
    """

    bundle: Path
    host: str
    port: int
    allow_insecure: bool
    tls: TlsConfig
    tokens: Path | None
    reflection: bool
    workers: int
    handlers: int
    threads: int
    core: int | None
    metrics: MetricsConfig
    json_log: bool
    log_calls: bool
    tracing: TracingConfig
    max_concurrent_calls: int
    admission: AdmissionConfig
    max_message_bytes: int
    lame_duck_seconds: float
    grace_seconds: float
    budget_ms: int
    streams: int
    batch: BatchingConfig
    cache: CacheConfig
    catch_up_seconds: float
    rerank: RerankingConfig
    diversify: bool
    diversity: DiversityConfig
    events: EventLogConfig
    event_store: Any
    limits: Limits


def require_sound(config: ServeConfig) -> None:
    """Refuse values that have the right type and make no sense.

    Raises:
        UsageError: naming the key, its value and what it may be.
    """
    for key, count in _counts(config).items():
        require(key, count, 1)
    for key, (value, least, most) in _ranges(config).items():
        if value is not None:
            require(key, value, least, most)
    _require_at_most("rerank.candidates", config.rerank.candidates, "limits.candidates", config.limits.candidates)
    _require_at_most("budget_ms", config.budget_ms, "limits.budget_ms", config.limits.budget_ms)
    _require_at_most(
        "admission.degrade_at", config.admission.degrade_at, "admission.refuse_at", config.admission.refuse_at
    )
    if config.admission.degrade_at == 0:
        raise UsageError("admission.degrade_at must be above 0: no call would be answered in full")
    if config.lame_duck_seconds >= config.grace_seconds:
        raise UsageError(
            f"lame_duck_seconds must be below grace_seconds={config.grace_seconds:g}, not {config.lame_duck_seconds:g}"
        )


def _counts(config: ServeConfig) -> dict[str, int]:
    """Values that are at least 1, by key."""
    limits = config.limits
    return {
        "workers": config.workers,
        "handlers": config.handlers,
        "threads": config.threads,
        "max_concurrent_calls": config.max_concurrent_calls,
        "max_message_bytes": config.max_message_bytes,
        "streams": config.streams,
        "budget_ms": config.budget_ms,
        "batch.largest": config.batch.largest,
        "rerank.candidates": config.rerank.candidates,
        "rerank.at_once": config.rerank.at_once,
        "rerank.workers": config.rerank.workers,
        "events.segment_bytes": config.events.segment_bytes,
        **{f"limits.{field.name}": getattr(limits, field.name) for field in fields(limits)},
    }


def _ranges(config: ServeConfig) -> dict[str, tuple[float | None, float, float]]:
    """Values with the least and the most that each may be, by key; None is always accepted."""
    return {
        "port": (config.port, 0, 65535),
        "metrics.port": (config.metrics.port, 0, 65535),
        "core": (config.core, 0, math.inf),
        "tracing.share": (config.tracing.share, 0, 1),
        "events.sync_seconds": (config.events.sync_seconds, 0, 60),
        "batch.window_ms": (config.batch.window_ms, 0, 100),
        "catch_up_seconds": (config.catch_up_seconds, 0.01, 3600),
        "cache.entries": (config.cache.entries, 0, math.inf),
        "cache.seconds": (config.cache.seconds, 0, math.inf),
        "lame_duck_seconds": (config.lame_duck_seconds, 0, math.inf),
        "admission.degrade_at": (config.admission.degrade_at, 0, math.inf),
    }


def _require_at_most(key: str, value: float, limit_key: str, limit: float) -> None:
    if value > limit:
        raise UsageError(f"{key} must be at most {limit_key}={limit:g}, not {value:g}")
