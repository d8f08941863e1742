"""One server's life: listen, load, warm up, serve, drain."""

import logging
import signal
from dataclasses import dataclass

from data_prep.command import ExitCode
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.process.lifecycle import StopSignals, drain
from retrieval_server.runtime.memory import settle
from retrieval_server.runtime.threads import limit_process
from retrieval_server.transport.server import RetrievalServer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle that is about to be served, for the line at the start.

    Attributes:
        version: the bundle's version.
        items: how many it has.
        cross_encoder: whether it has one.
        metrics: addresses at which Prometheus reads, `host:port`; one for each worker that has one.
    """

    version: str
    items: int
    cross_encoder: bool
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, server: RetrievalServer, bundle: ServedBundle) -> "LoadedBundle":
        """The bundle that a server is about to serve."""
        metrics = () if server.metrics is None else (server.metrics.address,)
        return cls(bundle.version, len(bundle.row_of), bundle.cross_encoder is not None, metrics)


def serve(config: ServeConfig, stop: StopSignals) -> ExitCode:
    """Serve a bundle until a signal comes, then drain.

    The port is open from the start: while the bundle is checked and warmed up, health says NOT_SERVING and calls get
    UNAVAILABLE. The line on stdout says that it is ready.

    Args:
        config: of the server.
        stop: signals that end it.

    Returns:
        the code to end the process with: OK after SIGTERM, INTERRUPTED after Ctrl-C, GATE_FAILED when calls were cut
        off at the end of the grace.

    Raises:
        UsageError: the configuration or the bundle cannot be served.
        GateFailed: the address cannot be had.
    """
    limit_process(config.threads)
    server = RetrievalServer(config)
    server.start()
    try:
        log.info("listening on %s, loading %s", server.address, config.bundle)
        settle()
        bundle = server.load(config.bundle.resolve())
        stop.defer()
    except BaseException:
        server.stop(None)
        server.close()
        raise
    server.serve(bundle)
    print(banner(config, server.address, LoadedBundle.of(server, bundle)), flush=True)
    del bundle  # which would stay in memory for good, whatever is served in its place
    received = stop.wait()
    log.info("%s received", received.name)
    finished = drain(server, config.lame_duck_seconds, config.grace_seconds)
    server.close()
    if not finished:
        return ExitCode.GATE_FAILED
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.OK


def banner(config: ServeConfig, address: str, loaded: LoadedBundle) -> str:
    """The line that names the bundle and the address.

    Args:
        config: of the server.
        address: it listens on.
        loaded: the bundle; of several workers, of each.
    """
    cross_encoder = "with" if loaded.cross_encoder else "without"
    several = f"{config.workers} workers of " if config.workers > 1 else ""
    encrypted = "plain text" if config.tls.certificate is None else "mutual TLS" if config.tls.client_ca else "TLS"
    tokens = "no tokens" if config.tokens is None else f"tokens of {config.tokens}"
    return (
        f"serving bundle {loaded.version} ({loaded.items:,} items, {cross_encoder} cross-encoder) "
        f"from {config.bundle.resolve()} on {address}, {several}{config.handlers} handlers, {encrypted}, {tokens}"
        + "".join(f", metrics on http://{metrics_address}/metrics" for metrics_address in loaded.metrics)
    )
