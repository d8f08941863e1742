"""Errors that end a call: one class per documented reason, with its status and google.rpc details."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, QuotaFailure, RequestInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

SHOWN_VIOLATIONS = 8
"""Details travel in the trailing metadata, of which clients accept 8 KiB: a few say as much as thousands."""


DOMAIN = "retrieval.v1"
"""Where the reasons of errors have their meaning."""


class CallError(Exception):
    """Ends a call with a documented status. The message and the details are for the caller to read.

    Args:
        message: what was wrong, what was expected, what to change.
        details: google.rpc messages that say the same to a program.
    """

    code: ClassVar[grpc.StatusCode]
    reason: ClassVar[str]
    """Distinguishes errors of one status for programs; documented in `docs/api.md`."""

    def __init__(self, message: str, *details: Message) -> None:
        super().__init__(message)
        self.details = details

    def message(self) -> Status:
        """The error as google.rpc says it, details packed."""
        number, _ = self.code.value
        status = Status(code=number, message=str(self))
        for detail in (ErrorInfo(reason=self.reason, domain=DOMAIN), *self.details):
            status.details.add().Pack(detail)
        return status

    def status(self) -> grpc.Status:
        """The status to end the call with."""
        packed: grpc.Status = rpc_status.to_status(self.message())
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
    reason = "INVALID_REQUEST"

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


class NoCrossEncoder(CallError):
    """A Rerank was asked of a bundle without a cross-encoder."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "NO_RERANKER"

    def __init__(self, version: str) -> None:
        message = (
            f"bundle {version} has no cross-encoder; train one with `python -m towers.train_ranker`, build a new "
            "bundle with `python -m index.build` and serve that, or call Recall"
        )
        violation = PreconditionFailure.Violation(type="RERANKER", subject=version, description=message)
        super().__init__(message, PreconditionFailure(violations=[violation]))


class NotReady(CallError):
    """The server has no bundle yet."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "NOT_READY"

    def __init__(self) -> None:
        super().__init__("the server is still loading its bundle; wait until health says SERVING")


class TooBusy(CallError):
    """More is being asked at once than the server takes on.

    Args:
        what: what there is too much of, with the limit and its name.
        subject: name of the limit in the configuration.
    """

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "TOO_BUSY"

    def __init__(self, what: str, subject: str) -> None:
        message = f"{what}; try again in a moment, or ask another server"
        violation = QuotaFailure.Violation(subject=subject, description=message)
        super().__init__(message, QuotaFailure(violations=[violation]))


class Unauthenticated(CallError):
    """The call brings no token that the server knows."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self) -> None:
        super().__init__("no valid token; send the metadata `authorization: Bearer <token>`, once")


class Forbidden(CallError):
    """The caller may not do that.

    Args:
        role: what they would have to be.
    """

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "FORBIDDEN"

    def __init__(self, role: str) -> None:
        super().__init__(
            f"this call needs the role {role}: use a token that has it, or, where the server has no tokens, serve on "
            "127.0.0.1 or with mutual TLS"
        )


class Expired(CallError):
    """The caller's deadline has passed: nobody waits for the answer."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = "EXPIRED"

    def __init__(self) -> None:
        super().__init__("the call's deadline passed before there was an answer; give it more time")


class CallerGone(CallError):
    """The caller hung up."""

    code = grpc.StatusCode.CANCELLED
    reason = "CALLER_GONE"

    def __init__(self) -> None:
        super().__init__("the caller cancelled the call")


class Stopping(CallError):
    """The server takes no more calls, nor the next request of a stream."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "STOPPING"

    def __init__(self) -> None:
        super().__init__("the server is stopping; ask another, of a stream for what is not answered yet")


class NotRecorded(CallError):
    """Events could not be recorded. Sending them again records none twice.

    Args:
        why: what failed.
    """

    code = grpc.StatusCode.UNAVAILABLE
    reason = "NOT_RECORDED"

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; send the same events again")


class NotChanged(CallError):
    """Items could not be changed. Nothing is; sending the same again does no harm.

    Args:
        why: what failed.
    """

    code = grpc.StatusCode.UNAVAILABLE
    reason = "NOT_CHANGED"

    def __init__(self, why: str) -> None:
        super().__init__(f"nothing was changed: {why}")


class SwapRefused(CallError):
    """Another version cannot be served. What was served before still is.

    Args:
        version: the version, "" when there is none to speak of.
        reason: why, and what to do about it.
    """

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "SWAP_REFUSED"

    def __init__(self, version: str, reason: str) -> None:
        violation = PreconditionFailure.Violation(type="BUNDLE", subject=version, description=reason)
        super().__init__(reason, PreconditionFailure(violations=[violation]))


class SwapUnderWay(CallError):
    """Somebody else is swapping right now."""

    code = grpc.StatusCode.ABORTED
    reason = "SWAP_UNDER_WAY"

    def __init__(self) -> None:
        super().__init__("another swap is at work; ask again when it is done")


class InternalError(CallError):
    """A bug of ours. What happened stays in the log, under the id that the caller gets.

    Args:
        error_id: where to look in the log.
    """

    code = grpc.StatusCode.INTERNAL
    reason = "INTERNAL_ERROR"

    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"internal error {error_id}; the server's log says more under this id", RequestInfo(request_id=error_id)
        )
