"""A gRPC server put together: services, interceptors, limits, and the one address it listens on."""

import time
from itertools import islice
from pathlib import Path
from threading import Event

import grpc
from grpc_reflection.v1alpha import reflection

from data_prep.command import CommandError, UsageError, instantiate
from index import LiveBundle
from retrieval_server.api.budget import Budget
from retrieval_server.api.requester import Requester
from retrieval_server.bundles.live_items import LiveItems
from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
from retrieval_server.bundles.swapping import SwapControl, Swapper
from retrieval_server.config import ServeConfig
from retrieval_server.events.event_log import EventLog, LogUnavailable
from retrieval_server.events.recording import Recorder
from retrieval_server.events.user_events import EventStore
from retrieval_server.pipeline.cross_encoding import CrossEncoderRunner
from retrieval_server.pipeline.pipeline import Pipeline
from retrieval_server.pipeline.profile import resolve as resolve_requester
from retrieval_server.pipeline.recall import BatchedRecall
from retrieval_server.pipeline.results import Constraints
from retrieval_server.retrieval.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import add_RetrievalServiceServicer_to_server
from retrieval_server.runtime.threads import on_core
from retrieval_server.telemetry.metrics_endpoint import MetricsEndpoint
from retrieval_server.telemetry.observer import Observer
from retrieval_server.telemetry.tracing import Tracing
from retrieval_server.transport.address import is_loopback, listen, resolve
from retrieval_server.transport.admin_service import ADMIN_NAME, AdminService
from retrieval_server.transport.admission import Admission, Handlers
from retrieval_server.transport.gatekeeper import Gatekeeper
from retrieval_server.transport.guard import Guard
from retrieval_server.transport.health import Health
from retrieval_server.transport.retrieval_service import SERVICE_NAME, RetrievalService, ServiceParts
from retrieval_server.transport.side_services import SideServices
from retrieval_server.transport.streams import Streams
from retrieval_server.transport.tls import server_credentials
from retrieval_server.transport.tokens import AccessTokens, Role


class RetrievalServer:
    """A server that listens from the start and answers once a bundle is in its slot.

    Args:
        config: address, threads and limits.
        swaps: of one process of several, which share the port; None for the only process, which swaps by itself.
        tracing: makes spans; None for tracing as configured.

    Attributes:
        address: where it listens, `host:port`.
        slot: holds the bundle that its requests take.
        items: changes the items of that bundle.
        health: its health checks; NOT_SERVING until `serve`.
        streams: the streams of requests that are open.
        recorder: records events.
        handlers: the threads that work on calls.
        recall: searches, in batches.
        observer: counts and logs.
        metrics: endpoint for Prometheus, None for none.
        grpc_server: the transport.

    Raises:
        UsageError: the host cannot be resolved, or other machines can reach it, there is no TLS and `allow_insecure` is
            not set; certificates, tokens or the log's folder cannot be used.
        GateFailed: the address cannot be had, because it is in use or not this machine's.
    """

    def __init__(self, config: ServeConfig, swaps: SwapControl | None = None, tracing: Tracing | None = None) -> None:
        credentials = server_credentials(config.tls)
        host = resolve(config.host, credentials is not None or config.allow_insecure)
        self._config = config
        self.slot = BundleSlot()
        self._tracing = tracing or Tracing.of(config.tracing)
        self.observer = Observer(config.log_calls, self._tracing)
        self.items = LiveItems(self.slot, self.observer, config.catch_up_seconds)
        self.health = Health(SERVICE_NAME, ADMIN_NAME)
        self.streams = Streams(config.streams)
        self._side = SideServices(SERVICE_NAME, config.streams, config.threads)
        self.handlers = Handlers(config.handlers, config.threads)
        self._admission = Admission(self.handlers, config.admission.degrade_at, config.admission.refuse_at)
        self.recall = BatchedRecall(config.batch, config.cache, self.observer)
        self._pipeline = Pipeline(self.recall, CrossEncoderRunner(config.rerank, config.threads))
        self.recorder = _recorder(config)
        self._gatekeeper = self._make_gatekeeper(trusted=is_loopback(host) or config.tls.client_ca is not None)
        self.grpc_server = self._make_grpc_server(shared_port=swaps is not None)
        self._add_services(swaps or Swapper(config.bundle, lambda: self.slot.take().version, self.put))
        self.address = listen(self.grpc_server, host, config.port, credentials)
        self.observer.watch_waiting(self.handlers)
        self.metrics = None
        if config.metrics.port is not None:
            self.metrics = MetricsEndpoint(self.observer.registry, config.metrics.host, config.metrics.port)

    def start(self) -> None:
        """Take calls, on threads that keep to the configured core.

        Raises:
            UsageError: the system does not tie threads to cores.
        """
        with on_core(self._config.core):
            self.grpc_server.start()

    def load(self, folder: Path) -> ServedBundle:
        """Check, load and warm up a bundle, with the changes since it was built.

        Every stage is walked once, so that no caller pays for lazy loading.

        Raises:
            BundleError: the folder holds no sound bundle.
        """
        bundle = ServedBundle.of(LiveBundle.load(folder))
        first = list(islice(bundle.row_of, 1))
        constraints = Constraints(k=1, include_seen=True, pool=self._config.rerank.candidates)
        for query in ["warm up", *([""] if first else [])]:  # with and without, each may have a funnel of its own
            profile = resolve_requester(bundle, Requester(item_ids=first, query=query))
            self._pipeline.recommend(bundle, profile, constraints, Budget())
        return bundle

    def put(self, folder: Path) -> str:
        """Serve the bundle in a folder in place of the one before; gives its version.

        Raises:
            BundleError: the folder holds no sound bundle. Nothing has changed.
        """
        try:
            bundle = self.load(folder)
        except CommandError:
            self.observer.swapped("refused")
            raise
        self.swap(bundle)
        return bundle.version

    def swap(self, bundle: ServedBundle) -> None:
        """Answer from a bundle from now on, in place of another."""
        self.items.put(bundle)
        self.observer.swapped("swapped")

    def serve(self, bundle: ServedBundle) -> None:
        """Answer from a bundle from now on, and say so."""
        self.items.put(bundle)
        self.health.serving()
        self.observer.ready(True)

    def say_stopping(self) -> None:
        """Have health say NOT_SERVING, for good."""
        self.health.stopping()
        self.observer.ready(False)

    def turn_away(self) -> None:
        """Refuse new calls with UNAVAILABLE, and have the streams end. The connections stay, and so do calls in flight.

        Were gRPC to stop right away, it would cancel what arrives before the other side has heard of it.
        """
        self._gatekeeper.close()
        self.streams.stop()
        self._side.end_streams()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until the calls in flight have their answers; whether that came in time."""
        deadline = time.monotonic() + seconds
        return self.handlers.wait_until_idle(seconds) and self._side.wait_until_idle(deadline - time.monotonic())

    def stop(self, seconds: float | None) -> Event:
        """Turn new calls away and end the connections when the calls in flight are finished.

        A call that arrives while a connection ends is cancelled by gRPC; clients of ours try it again.

        Args:
            seconds: until calls are cut off, None for at once.

        Returns:
            the event of its end.
        """
        self.turn_away()
        stopped = self.grpc_server.stop(seconds)
        self._side.end_streams()  # those that began to watch health while the last calls were worked on
        return stopped

    def close(self) -> None:
        """Let go of threads and files, when no call is in flight."""
        self._side.close()
        self.handlers.shutdown(wait=False)
        self.items.close()
        self._pipeline.close()
        self.recorder.close()
        if self._tracing is not None:
            self._tracing.close()
        if self.metrics is not None:
            self.metrics.close()

    def _make_gatekeeper(self, trusted: bool) -> Gatekeeper:
        tokens = self._config.tokens
        return Gatekeeper(
            tokens=None if tokens is None else AccessTokens.read(tokens),
            anonymous=Role.ADMIN if trusted else Role.WRITER,
            admission=self._admission,
            side=self._side,
            observer=self.observer,
        )

    def _make_grpc_server(self, shared_port: bool) -> grpc.Server:
        return grpc.server(
            self.handlers,
            interceptors=[
                self._gatekeeper,
                self._side,
                *([] if self._tracing is None else [self._tracing.interceptor]),
                Guard(self.observer, SERVICE_NAME, ADMIN_NAME),
            ],
            maximum_concurrent_rpcs=self._config.max_concurrent_calls,
            options=[
                # Of itself gRPC would let a second server bind the same port and take half the calls.
                ("grpc.so_reuseport", int(shared_port)),
                ("grpc.max_receive_message_length", self._config.max_message_bytes),
            ],
        )

    def _add_services(self, swaps: SwapControl) -> None:
        server, config = self.grpc_server, self._config
        parts = ServiceParts(self.slot, self._pipeline, self.recorder, self.streams, self._admission, self.observer)
        add_RetrievalServiceServicer_to_server(RetrievalService(parts, config), server)
        admin = AdminService(self.slot, swaps, self.items, self.recorder.skipped, config.limits)
        add_AdminServiceServicer_to_server(admin, server)
        self.health.add_to(server)
        if config.reflection:
            names = (SERVICE_NAME, ADMIN_NAME, "grpc.health.v1.Health", reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)


def _recorder(config: ServeConfig) -> Recorder:
    store: EventStore = instantiate(config.event_store)
    try:
        return Recorder(store, EventLog(config.events.folder, config.events.sync_seconds, config.events.segment_bytes))
    except LogUnavailable as error:
        raise UsageError(f"events.folder={config.events.folder}: {error}") from error
