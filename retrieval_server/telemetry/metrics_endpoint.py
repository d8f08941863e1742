"""The HTTP endpoint at which Prometheus reads a server's numbers."""

import os

from prometheus_client import CollectorRegistry, start_http_server

from data_prep.errors import GateFailed


class MetricsEndpoint:
    """Serves `/metrics` over HTTP until it is closed.

    Args:
        registry: the numbers.
        host: address to listen on.
        port: port to listen on, 0 for a free one.

    Attributes:
        address: `host:port`.

    Raises:
        GateFailed: the address cannot be had.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise GateFailed(f"{reason}: {host}:{port}; set another metrics.port or metrics.host") from error
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
