"""Threads of the services beside the main one: health, reflection and operators' calls keep nobody waiting."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from retrieval_server.api.errors import CallError
from retrieval_server.runtime.call_pool import CallPool
from retrieval_server.runtime.threads import limit_beside
from retrieval_server.transport.guard import FindHandler, Handler

THREADS = 4
"""A health check takes microseconds; a reflection stream holds a thread while its tool is connected."""

REFUSING = 2
"""Threads that refuse calls: neither a slow call of an operator nor one that is taken is in their way."""


class SideServices(grpc.ServerInterceptor):
    """Runs every service but one on a small pool of its own, and can end the streams that hang on it.

    A health check must not wait behind two hundred requests, and a stream that a balancer keeps open to watch
    health must not keep a stopping server alive. The one service's own streams have a pool too: they stay open.

    Args:
        service: full name of the service whose plain calls keep the server's own pool.
        streams: how many of its streams may be open; one more thread is there to refuse the others.
        threads: threads that each of these may use inside the models.
    """

    def __init__(self, service: str, streams: int, threads: int) -> None:
        self._prefix = f"/{service}/"
        self._pool = CallPool(THREADS, "side", threads, limit_beside)
        self._streams = CallPool(streams + 1, "stream", threads)
        self._refusing = ThreadPoolExecutor(REFUSING, "refuse")
        self._open: set[grpc.ServicerContext] = set()

    def intercept_service(
        self, continuation: FindHandler, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The handler for a call, moved to another pool unless it is a plain call to the one service."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        pool, contexts = self._pool, self._open
        if handler_call_details.method.startswith(self._prefix):
            if handler.stream_stream is None:
                return handler
            pool, contexts = self._streams, set()  # these end by themselves
        make = grpc.unary_unary_rpc_method_handler
        behaviour: Any = handler.unary_unary
        if behaviour is not None:
            contexts = set()  # an operator's call is finished, as any other
        elif handler.unary_stream is not None:
            make, behaviour = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        elif handler.stream_stream is not None:
            make, behaviour = grpc.stream_stream_rpc_method_handler, handler.stream_stream
        moved = _OnPool(behaviour, pool, contexts)
        return make(moved, handler.request_deserializer, handler.response_serializer)

    def refusal(self, error: CallError) -> Handler:
        """A handler that ends every call with an error, on threads of their own.

        It takes a stream, whatever the method does, and so does not wait for a request that it would not read.
        """
        status = error.status()

        def refuse(_: Any, context: grpc.ServicerContext) -> Any:
            context.abort_with_status(status)

        return grpc.stream_stream_rpc_method_handler(_OnPool(refuse, self._refusing, set()), None, None)

    def end_streams(self) -> None:
        """End the streams of the side services that are open: nobody who merely watches keeps a server alive."""
        for context in tuple(self._open):
            context.cancel()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until every call and stream on these threads is finished; whether that came in time."""
        deadline = time.monotonic() + seconds
        return self._pool.wait_until_idle(seconds) and self._streams.wait_until_idle(deadline - time.monotonic())

    def close(self) -> None:
        """Let go of the threads."""
        for pool in (self._pool, self._streams, self._refusing):
            pool.shutdown(wait=False)


class _OnPool:
    """A call's behaviour with the attributes by which grpc's server learns where and how to run it."""

    def __init__(
        self, behaviour: Callable[..., Any], pool: ThreadPoolExecutor, contexts: set[grpc.ServicerContext]
    ) -> None:
        self._behaviour = behaviour
        self._contexts = contexts
        self.experimental_thread_pool = pool
        self.experimental_non_blocking = getattr(behaviour, "experimental_non_blocking", False)

    def __call__(self, request: Any, context: grpc.ServicerContext, *send_response: Callable[[Any], None]) -> Any:
        self._contexts.add(context)
        if not context.add_callback(lambda: self._contexts.discard(context)):
            self._contexts.discard(context)
        return self._behaviour(request, context, *send_response)
