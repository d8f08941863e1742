"""How a client reaches a server: address, deadlines, and which failures are tried again."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True)
class Security:
    """How a client proves itself, and makes sure of the server.

    Attributes:
        tls: whether to encrypt; implied by a certificate of either side.
        authority: PEM file of the authority that vouches for the server; None for those the system trusts.
        certificate: PEM file of the client's own certificate, for mutual TLS.
        key: PEM file of its private key.
        token: bearer token, "" for none. Sent in the open without TLS.
    """

    tls: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token: str = field(default="", repr=False)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Credentials of a channel that speaks TLS, None for plain text."""
        if not (self.tls or self.authority or self.certificate):
            return None
        return grpc.ssl_channel_credentials(
            *(path.read_bytes() if path else None for path in (self.authority, self.key, self.certificate))
        )


OPEN = Security()
"""Plain text and no token, for a server on the same machine."""

AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED")
"""Statuses after which the same call may well succeed: the server is stopping, starting, or has too much to do.

gRPC cancels a call that arrives while the server's connections end; one that the caller cancels is not tried again.
"""


def channel_options(attempts: int) -> list[tuple[str, Any]]:
    """Options of a channel that tries calls of the retrieval service again, within their deadline.

    The first pause is drawn below 50 ms, each later one below twice as much, at most a second. Every call of that
    service may be repeated: it reads, or, as RecordEvents, knows what it has already written.

    Args:
        attempts: how often a call is tried in all, 1 to 5.

    Raises:
        ValueError: another number.
    """
    if not 1 <= attempts <= 5:
        raise ValueError(f"attempts={attempts}: must be 1 to 5, gRPC makes no more")
    method: dict[str, Any] = {"name": [{"service": "retrieval.v1.RetrievalService"}]}
    if attempts > 1:
        method["retryPolicy"] = {
            "maxAttempts": attempts,
            "initialBackoff": "0.05s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": AGAIN,
        }
    return [
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps({"methodConfig": [method]})),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
