"""One server's life: listen, load, warm up, serve, drain."""

import logging
import signal

from data_prep.command import ExitCode
from retrieval_server.config import ServeConfig
from retrieval_server.lifecycle import StopSignals, drain
from retrieval_server.served_bundle import ServedBundle
from retrieval_server.server import RetrievalServer
from retrieval_server.threads import limit_threads

log = logging.getLogger(__name__)


def serve(config: ServeConfig, stop: StopSignals) -> ExitCode:
    """Serve a bundle until a signal comes, then drain.

    The port is open from the start: while the bundle is checked and warmed up, health says NOT_SERVING and calls get
    UNAVAILABLE. The line on stdout says that it is ready.

    Args:
        config: what to serve and where.
        stop: what ends it.

    Returns:
        the code to end the process with: OK after SIGTERM, INTERRUPTED after Ctrl-C, GATE_FAILED when calls were cut
        off at the end of the grace.

    Raises:
        UsageError: the configuration or the bundle cannot be served.
        GateFailed: the address cannot be had.
    """
    limit_threads(config.threads)
    server = RetrievalServer(config)
    server.grpc_server.start()
    try:
        log.info("listening on %s, loading %s", server.address, config.bundle)
        bundle = server.load(config.bundle.resolve())
        stop.defer()
    except BaseException:
        server.stop(None)
        server.close()
        raise
    server.serve(bundle)
    print(_banner(config, server, bundle), flush=True)
    received = stop.wait()
    log.info("%s received", received.name)
    finished = drain(server, config.lame_duck_seconds, config.grace_seconds)
    server.close()
    if not finished:
        return ExitCode.GATE_FAILED
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.OK


def _banner(config: ServeConfig, server: RetrievalServer, bundle: ServedBundle) -> str:
    reranker = "with" if bundle.reranker else "without"
    return (
        f"serving bundle {bundle.version} ({len(bundle.item_ids):,} items, {reranker} reranker) "
        f"from {config.bundle.resolve()} on {server.address}, {config.workers} workers, {_security(config)}"
        + (f", metrics on http://{server.metrics.address}/metrics" if server.metrics else "")
    )


def _security(config: ServeConfig) -> str:
    encrypted = "plain text" if config.tls.certificate is None else "mutual TLS" if config.tls.client_ca else "TLS"
    return f"{encrypted}, {'no tokens' if config.tokens is None else f'tokens of {config.tokens}'}"
