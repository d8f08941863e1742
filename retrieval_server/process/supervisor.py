"""Several processes behind one port: started, swapped together, started again when one dies, stopped."""

import logging
import signal
import socket
from dataclasses import replace

from data_prep.command import ExitCode
from data_prep.errors import GateFailed
from retrieval_server.config import ServeConfig
from retrieval_server.process.fleet import Fleet
from retrieval_server.process.lifecycle import StopSignals
from retrieval_server.process.serve import banner
from retrieval_server.transport.address import resolve

log = logging.getLogger(__name__)


def supervise(config: ServeConfig, stop: StopSignals) -> ExitCode:
    """Serve a bundle from several processes until a signal comes, then have all of them drain.

    Processes are spawned, not forked: a fork after a search with threads hangs in its first search.

    Args:
        config: of the server.
        stop: signals that end it.

    Returns:
        as `serve` does; GATE_FAILED as well when no worker is left.

    Raises:
        CommandError: a worker could not start.
    """
    address = resolve(config.host, secure=True)  # whether it may be was settled before
    with reserve(address, config.port) as port:
        fleet = Fleet(replace(config, port=port.getsockname()[1]), on_end=stop.end)
        try:
            ready = fleet.start()
            stop.defer()
        except BaseException:
            fleet.kill()
            raise
        metrics = tuple(address for worker in ready for address in worker.loaded.metrics)
        print(banner(config, ready[0].address, replace(ready[0].loaded, metrics=metrics)), flush=True)
        received = stop.wait()
        log.info("%s received, stopping %d workers", received.name, config.workers)
        finished = fleet.stop()
    if not finished:
        return ExitCode.GATE_FAILED
    return ExitCode.INTERRUPTED if received is signal.SIGINT else ExitCode.OK


def reserve(address: str, port: int) -> socket.socket:
    """Hold a port, 0 for a free one, so that the workers can share it and nobody else takes it.

    Raises:
        GateFailed: it cannot be had.
    """
    held = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((address, port))
    except OSError as error:
        held.close()
        raise GateFailed(f"{error.strerror}: {address}:{port}; set another port or host") from error
    return held
