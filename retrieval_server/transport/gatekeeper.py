"""Calls refused before they cost anything: for want of a role, for too many that wait already, or at the end."""

import grpc

from retrieval_server.api.errors import CallError, Forbidden, Stopping, Unauthenticated
from retrieval_server.telemetry.observer import Observer
from retrieval_server.transport.admin_service import ADMIN_NAME
from retrieval_server.transport.admission import Admission
from retrieval_server.transport.guard import FindHandler, Handler
from retrieval_server.transport.retrieval_service import SERVICE_NAME
from retrieval_server.transport.side_services import SideServices
from retrieval_server.transport.tokens import AccessTokens, Role

NEEDED = {f"/{SERVICE_NAME}": Role.READER, f"/{ADMIN_NAME}": Role.ADMIN}
"""Role that each service needs; health and reflection need none."""

WRITING = f"/{SERVICE_NAME}/RecordEvents"
STREAMING = f"/{SERVICE_NAME}/RecommendStream"

HEALTH = "/grpc.health.v1.Health/"
"""Answered to the last: that the server is not serving."""


class Gatekeeper(grpc.ServerInterceptor):
    """Lets calls through that are permitted and that there is time for.

    Args:
        tokens: roles by token, None for everybody the same.
        anonymous: the role of everybody when there are no tokens.
        admission: says when there is too much to do.
        side: runs the refusals, so that none waits behind the calls that are taken.
        observer: notes refusals.
    """

    def __init__(
        self, tokens: AccessTokens | None, anonymous: Role, admission: Admission, side: SideServices, observer: Observer
    ) -> None:
        self._tokens = tokens
        self._anonymous = anonymous
        self._admission = admission
        self._side = side
        self._observer = observer
        self._closed = False
        self._stop = Stopping()
        self._refused: CallError = self._stop
        self._refusing = side.refusal(self._stop)

    def close(self) -> None:
        """Refuse every call from now on, but those to health."""
        self._closed = True

    def intercept_service(
        self, continuation: FindHandler, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The handler for a call, or one that refuses it."""
        method = handler_call_details.method
        error = self._stopping(method) or self._unauthorised(method, handler_call_details) or self._overloaded(method)
        if error is None:
            return continuation(handler_call_details)
        self._observer.ended(method, handler_call_details.invocation_metadata or (), error, 0.0)
        return self._refusal(error)

    def _refusal(self, error: CallError) -> Handler:
        """The handler that refuses; made once for an error of many calls, while there is the least time for it."""
        if error is not self._refused:
            self._refused, self._refusing = error, self._side.refusal(error)
        return self._refusing

    def _stopping(self, method: str) -> CallError | None:
        return self._stop if self._closed and not method.startswith(HEALTH) else None

    def _unauthorised(self, method: str, details: grpc.HandlerCallDetails) -> CallError | None:
        needed = _needed(method)
        if needed is None:
            return None
        role: Role | None = self._anonymous
        if self._tokens is not None:
            headers = [value for key, value in details.invocation_metadata or () if key == "authorization"]
            role = self._tokens.role(str(headers[0])) if len(headers) == 1 else None
        if role is None:
            return Unauthenticated()
        return None if role >= needed else Forbidden(needed.name.lower())

    def _overloaded(self, method: str) -> CallError | None:
        if method == STREAMING or not method.startswith(f"/{SERVICE_NAME}/"):
            return None
        return self._admission.refusal()


def _needed(method: str) -> Role | None:
    if method == WRITING:
        return Role.WRITER
    return NEEDED.get(method.rpartition("/")[0])
