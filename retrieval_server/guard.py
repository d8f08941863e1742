"""Between the transport and the service: every call ends in a documented status, whatever happens inside it."""

import logging
import uuid
from collections.abc import Callable
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from retrieval_server.errors import CallError, InternalError, InvalidRequest, Violation
from retrieval_server.interception import Find, Handler

log = logging.getLogger(__name__)


class Guard(grpc.ServerInterceptor):
    """Reads messages and catches exceptions for one service.

    gRPC's own behaviour would be INTERNAL for a message that cannot be parsed, as if the server were at fault, and
    UNKNOWN with the exception's text for a bug. Here they are INVALID_ARGUMENT, and INTERNAL with an error id whose
    story is told in the log alone.

    Args:
        service: full name of the service.
    """

    def __init__(self, service: str) -> None:
        self._prefix = f"/{service}/"

    def intercept_service(self, continuation: Find, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The handler for a call, with the guard around it when the call is to our service."""
        handler = continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(self._prefix):
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _guarded(handler_call_details.method, handler),
            request_deserializer=None,  # parsing is the guard's
            response_serializer=handler.response_serializer,
        )


def _guarded(method: str, handler: Handler) -> Callable[[bytes, grpc.ServicerContext], Any]:
    parse = cast(Callable[[bytes], Any], handler.request_deserializer)
    answer = cast(Callable[[Any, grpc.ServicerContext], Any], handler.unary_unary)

    def call(message: bytes, context: grpc.ServicerContext) -> Any:
        try:
            return answer(_parsed(parse, message), context)
        except CallError as error:
            status = error.status()
        except Exception:
            error_id = uuid.uuid4().hex
            log.exception("error_id=%s method=%s", error_id, method)
            status = InternalError(error_id).status()
        context.abort_with_status(status)

    return call


def _parsed(parse: Callable[[bytes], Any], message: bytes) -> Any:
    try:
        return parse(message)
    except DecodeError:
        raise InvalidRequest(
            [Violation("", "the message cannot be parsed: damaged, of another type, or text that is not UTF-8")]
        ) from None
