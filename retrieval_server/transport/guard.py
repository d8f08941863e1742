"""Between the transport and the service: every call ends in a documented status, whatever happens inside it."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

from retrieval_server.api.errors import CallError, InternalError, InvalidRequest, Violation
from retrieval_server.telemetry.observer import Observer

log = logging.getLogger(__name__)

if TYPE_CHECKING:  # generic to the type checker and not to Python
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler

FindHandler: TypeAlias = Callable[[grpc.HandlerCallDetails], Handler | None]

Answer = TypeVar("Answer")


class Guard(grpc.ServerInterceptor):
    """Reads messages and catches exceptions for the services that we wrote.

    gRPC's own behaviour would be INTERNAL for a message that cannot be parsed, as if the server were at fault, and
    UNKNOWN with the exception's text for a bug. Here they are INVALID_ARGUMENT, and INTERNAL with an error id whose
    traceback is in the log alone.

    A method whose requests are a stream gets them as bytes, and reads each with `parsed`.

    Args:
        observer: notes how calls end.
        services: full names of the services.
    """

    def __init__(self, observer: Observer, *services: str) -> None:
        self._observer = observer
        self._prefixes = tuple(f"/{service}/" for service in services)
        self._guarded: dict[str, Handler] = {}  # by method: there are few methods, and many calls

    def intercept_service(
        self, continuation: FindHandler, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The handler for a call, with the guard around it when the call is to one of our services."""
        method = handler_call_details.method
        if method in self._guarded:
            return self._guarded[method]
        handler = continuation(handler_call_details)
        if handler is None or not method.startswith(self._prefixes):
            return handler
        self._guarded[method] = guarded = self._around(method, handler)
        return guarded

    def _around(self, method: str, handler: Handler) -> Handler:
        if handler.stream_stream is not None:
            stream = _guarded_stream(method, handler.stream_stream, self._observer)
            return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(
            _guarded(method, handler, self._observer),
            request_deserializer=None,  # parsing is the guard's
            response_serializer=handler.response_serializer,
        )


def outcome(method: str, answer: Callable[[], Answer]) -> Answer | CallError:
    """The result of a computation, or the error it ends in; an undocumented one is a bug and goes to the log.

    Args:
        method: for the log.
        answer: the computation.
    """
    try:
        return answer()
    except CallError as error:
        return error
    except Exception:
        error_id = uuid.uuid4().hex
        log.exception("error_id=%s method=%s", error_id, method)
        return InternalError(error_id)


def parsed(parse: Callable[[bytes], Answer], message: bytes) -> Answer:
    """A message read.

    Raises:
        InvalidRequest: it cannot be.
    """
    try:
        return parse(message)
    except DecodeError:
        raise InvalidRequest(
            [Violation("", "the message cannot be parsed: damaged, of another type, or text that is not UTF-8")]
        ) from None


def _guarded(method: str, handler: Handler, observer: Observer) -> Callable[[bytes, grpc.ServicerContext], Any]:
    parse = cast(Callable[[bytes], Any], handler.request_deserializer)
    answer = cast(Callable[[Any, grpc.ServicerContext], Any], handler.unary_unary)

    def call(message: bytes, context: grpc.ServicerContext) -> Any:
        started = time.monotonic()
        ending = outcome(method, lambda: answer(parsed(parse, message), context))
        observer.ended(method, context.invocation_metadata(), ending, time.monotonic() - started)
        if isinstance(ending, CallError):
            context.abort_with_status(ending.status())
        return ending

    return call


def _guarded_stream(
    method: str, answer: Callable[..., Iterator[Any]], observer: Observer
) -> Callable[..., Iterator[Any]]:
    def call(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        started, answers = time.monotonic(), answer(messages, context)
        ending: Any = None
        try:
            while (ending := outcome(method, lambda: next(answers, None))) is not None:
                if isinstance(ending, CallError):
                    context.abort_with_status(ending.status())
                yield ending
        finally:  # also where the caller is gone
            error = ending if isinstance(ending, CallError) else None
            observer.ended(method, context.invocation_metadata(), error, time.monotonic() - started)

    return call


Find: TypeAlias = Callable[[grpc.HandlerCallDetails], Handler | None]
