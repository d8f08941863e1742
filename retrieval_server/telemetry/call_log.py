"""The line in the log for each answered call: its request id, status and time, and nothing of the user."""

import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

logger = logging.getLogger("retrieval_server.calls")

REQUEST_ID = "x-request-id"
"""Metadata by which a caller names a call; the log names it so too."""

SOUND_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""A caller's request id that the log can take as it is."""


def log_call(
    metadata: Sequence[Any], method: str, code: str, seconds: float, version: str, degraded: Mapping[str, str]
) -> None:
    """Write the line of a call.

    Args:
        metadata: of the call, pairs; one may be its request id.
        method: name of the method.
        code: name of the status.
        seconds: that the call took.
        version: of the bundle that answered, "" for none.
        degraded: reason of each stage that was skipped or cut short.
    """
    fields = {
        "request_id": request_id(metadata),
        "method": method,
        "code": code,
        "milliseconds": round(1000 * seconds, 3),
        "bundle_version": version,
        "degraded": ",".join(f"{stage}:{reason}" for stage, reason in degraded.items()),
    }
    line = " ".join(f"{key}={value}" for key, value in fields.items() if value != "")
    logger.info("%s", line, extra={"call": fields})


def request_id(metadata: Sequence[Any]) -> str:
    """The caller's request id if it is a sound one, else a new one."""
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and SOUND_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
