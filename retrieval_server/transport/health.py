"""The standard gRPC health service of a server."""

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse


class Health:
    """The standard health service: one status for the server ("") and one for each service by name.

    Args:
        services: full names of the services.
    """

    def __init__(self, *services: str) -> None:
        self._names = ("", *services)
        self._servicer = HealthServicer()
        self._set(HealthCheckResponse.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Have the server answer health checks."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def serving(self) -> None:
        """Say SERVING from now on."""
        self._set(HealthCheckResponse.SERVING)

    def stopping(self) -> None:
        """Say NOT_SERVING from now on, for good."""
        self._servicer.enter_graceful_shutdown()

    def _set(self, status: HealthCheckResponse.ServingStatus) -> None:
        for name in self._names:
            self._servicer.set(name, status)
