"""What a caller can be told: one class per documented status, with its google.rpc details."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure, RequestInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

SHOWN_VIOLATIONS = 8
"""Details travel in the trailing metadata, of which clients accept 8 KiB: a few say as much as thousands."""


class CallError(Exception):
    """Ends a call with a documented status. The message and the details are for the caller to read.

    Args:
        message: what was wrong, what was expected, what to change.
        details: google.rpc messages that say the same to a program.
    """

    code: ClassVar[grpc.StatusCode]

    def __init__(self, message: str, *details: Message) -> None:
        super().__init__(message)
        self.details = details

    def status(self) -> grpc.Status:
        """The status to end the call with, details packed."""
        number, _ = self.code.value
        status = Status(code=number, message=str(self))
        for detail in self.details:
            status.details.add().Pack(detail)
        packed: grpc.Status = rpc_status.to_status(status)
        return packed


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a request.

    Attributes:
        field: path of the field in the request message, "" for the message as a whole.
        description: what was wrong with it, the limit, and the cure. Quotes nothing the caller sent at length.
    """

    field: str
    description: str


class InvalidRequest(CallError):
    """The request cannot be answered as it stands."""

    code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, violations: Sequence[Violation]) -> None:
        shown = violations[:SHOWN_VIOLATIONS]
        lines = [f"{v.field}: {v.description}" if v.field else v.description for v in shown]
        if len(violations) > len(shown):
            lines.append(f"and {len(violations) - len(shown)} more")
        detail = BadRequest(
            field_violations=[BadRequest.FieldViolation(field=v.field, description=v.description) for v in shown]
        )
        super().__init__("; ".join(lines), detail)
        self.violations = tuple(violations)


class NoReranker(CallError):
    """Reranking was asked of a bundle that cannot."""

    code = grpc.StatusCode.FAILED_PRECONDITION

    def __init__(self, version: str) -> None:
        message = (
            f"bundle {version} has no reranker; train one with `python -m towers.train_reranker`, build a new "
            "bundle with `python -m index.build` and serve that, or call Recall"
        )
        violation = PreconditionFailure.Violation(type="RERANKER", subject=version, description=message)
        super().__init__(message, PreconditionFailure(violations=[violation]))


class NotReady(CallError):
    """The server has no bundle yet."""

    code = grpc.StatusCode.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("the server is still loading its bundle; wait until health says SERVING")


class InternalError(CallError):
    """A bug of ours. What happened stays in the log, under the id that the caller gets.

    Args:
        error_id: where to look in the log.
    """

    code = grpc.StatusCode.INTERNAL

    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"internal error {error_id}; the server's log says more under this id", RequestInfo(request_id=error_id)
        )
