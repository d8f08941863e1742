"""The server's configuration, as `conf/serve.yaml` spells it."""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_prep.errors import UsageError
from towers.diversity import DiversityConfig


@dataclass
class Limits:
    """What one request may ask for.

    Attributes:
        k: items of one answer.
        history: events of one request's history.
        candidates: items that one request may have reranked.
        exclude: items that one request may keep out.
        filter_values: categories, and brands, of one request's filter.
        filter_ids: items that one request's filter may allow, and deny.
        budget_ms: milliseconds that one request may take for itself.
        events: events that one request may record.
        items: items that one request may put in, or take out.
        query_bytes: bytes of a query in UTF-8.
        id_bytes: bytes of any one identifier or event type in UTF-8.
    """

    k: int
    history: int
    candidates: int
    exclude: int
    filter_values: int
    filter_ids: int
    budget_ms: int
    events: int
    items: int
    query_bytes: int
    id_bytes: int


@dataclass
class Metrics:
    """Where Prometheus reads.

    Attributes:
        host: address to listen on.
        port: port to listen on, 0 for a free one, null for none.
    """

    host: str
    port: int | None


@dataclass
class Tls:
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
class AdmissionBounds:
    """What is taken on, in calls waiting for each handler.

    Attributes:
        degrade_at: from here on answers are cut down.
        refuse_at: from here on calls are refused.
    """

    degrade_at: float
    refuse_at: float


@dataclass
class Batch:
    """How calls that come at the same time are computed in one go.

    Attributes:
        largest: calls in one batch.
        window_ms: milliseconds after a batch to wait for company, for each call that it had.
    """

    largest: int
    window_ms: float


@dataclass
class Cache:
    """What is kept of recalls.

    Attributes:
        entries: how many, 0 for none.
        seconds: how long each.
    """

    entries: int
    seconds: float


@dataclass
class Rerank:
    """How the reranker is run.

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
class Events:
    """How the log of events is kept.

    Attributes:
        folder: where it is.
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
        metrics: where Prometheus reads.
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
        batch: how calls that come at the same time are computed in one go.
        cache: what is kept of recalls.
        catch_up_seconds: how often a process looks for items that others have changed.
        rerank: how the reranker is run.
        diversify: whether Recommend makes answers diverse that nobody asked it of.
        diversity: what holds where a request for diversity does not say otherwise.
        events: how the log of events is kept.
        event_store: what remembers events; a file of `conf/event_store/`.
        limits: what one request may ask for.
    """

    bundle: Path
    host: str
    port: int
    allow_insecure: bool
    tls: Tls
    tokens: Path | None
    reflection: bool
    workers: int
    handlers: int
    threads: int
    core: int | None
    metrics: Metrics
    json_log: bool
    log_calls: bool
    tracing: TracingConfig
    max_concurrent_calls: int
    admission: AdmissionBounds
    max_message_bytes: int
    lame_duck_seconds: float
    grace_seconds: float
    budget_ms: int
    streams: int
    batch: Batch
    cache: Cache
    catch_up_seconds: float
    rerank: Rerank
    diversify: bool
    diversity: DiversityConfig
    events: Events
    event_store: Any
    limits: Limits


def require_sound(config: ServeConfig) -> None:
    """Refuse values that have the right type and make no sense.

    Raises:
        UsageError: naming the key, its value and what it may be.
    """
    _require_counts(config)
    limits, admission, most = config.limits, config.admission, math.inf
    ranges: dict[str, tuple[float | None, float, float, str]] = {
        "port": (config.port, 0, 65535, "0 (any free port) to 65535"),
        "metrics.port": (config.metrics.port, 0, 65535, "null, 0 (any free port) or up to 65535"),
        "rerank.candidates": (
            config.rerank.candidates,
            1,
            limits.candidates,
            f"1 to limits.candidates={limits.candidates}",
        ),
        "core": (config.core, 0, most, "null, or 0 and up"),
        "budget_ms": (config.budget_ms, 1, limits.budget_ms, f"1 to limits.budget_ms={limits.budget_ms}"),
        "tracing.share": (config.tracing.share, 0, 1, "0 to 1"),
        "events.sync_seconds": (config.events.sync_seconds, 0, 60, "0 to 60"),
        "batch.window_ms": (config.batch.window_ms, 0, 100, "0 to 100"),
        "catch_up_seconds": (config.catch_up_seconds, 0.01, 3600, "0.01 to 3600"),
        "cache.entries": (config.cache.entries, 0, most, "at least 0"),
        "cache.seconds": (config.cache.seconds, 0, most, "at least 0"),
    }
    for key, (value, least, greatest, allowed) in ranges.items():
        if value is not None and not least <= value <= greatest:
            raise UsageError(f"{key}={value}: must be {allowed}")
    if not 0 <= config.lame_duck_seconds < config.grace_seconds:
        raise UsageError(
            f"lame_duck_seconds={config.lame_duck_seconds}: must be at least 0 and below "
            f"grace_seconds={config.grace_seconds}"
        )
    if not 0 < admission.degrade_at <= admission.refuse_at:
        raise UsageError(
            f"admission.degrade_at={admission.degrade_at}: must be above 0 and at most "
            f"admission.refuse_at={admission.refuse_at}"
        )


def _require_counts(config: ServeConfig) -> None:
    limits = config.limits
    at_least_one = {
        "workers": config.workers,
        "handlers": config.handlers,
        "threads": config.threads,
        "max_concurrent_calls": config.max_concurrent_calls,
        "max_message_bytes": config.max_message_bytes,
        "streams": config.streams,
        "batch.largest": config.batch.largest,
        "rerank.at_once": config.rerank.at_once,
        "rerank.workers": config.rerank.workers,
        "events.segment_bytes": config.events.segment_bytes,
        **{f"limits.{field.name}": getattr(limits, field.name) for field in fields(limits)},
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise UsageError(f"{key}={value}: must be at least 1")
