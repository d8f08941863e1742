"""How a client reaches a server: address, deadlines, and which failures are tried again."""

import json
from typing import Any

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 10.0

AGAIN = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
"""Statuses after which the same call may well succeed: the server is stopping, starting, or has too much to do."""


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
