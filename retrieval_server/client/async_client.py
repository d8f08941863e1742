"""Asks a retrieval server from asyncio: the calls of `RetrievalClient`, awaited."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar, Unpack

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from retrieval_server.client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, OPEN, Security, channel_options
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.requests import (
    EventFields,
    RecallOptions,
    RecommendOptions,
    RerankOptions,
    SimilarOptions,
    recall_request,
    recommend_request,
    record_request,
    rerank_request,
    similar_request,
)
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    RecallResponse,
    RecommendResponse,
    RecordEventsResponse,
    RerankResponse,
    SimilarItemsResponse,
)
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub

Response = TypeVar("Response")


class AsyncRetrievalClient:
    """A connection to one retrieval server, for one event loop; made, used and closed within it.

    >>> async with AsyncRetrievalClient("127.0.0.1:50051") as client:  # doctest: +SKIP
    ...     first, second = await asyncio.gather(client.recall(user_id="208"), client.recall(query="milk"))

    The arguments of each call are documented in `retrieval_server.client.requests`. Every call raises `RetrievalError`
    when the server refuses, fails, or cannot be reached.

    Args:
        address: `host:port`.
        timeout: seconds that a call may take, further attempts included.
        attempts: how often a call is tried in all when the server is not there or has too much to do, 1 to 5.
        security: TLS and token.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        timeout: float = DEFAULT_TIMEOUT,
        attempts: int = 3,
        security: Security = OPEN,
    ) -> None:
        self._timeout = timeout
        self._metadata = security.metadata()
        self._channel = _channel(address, attempts, security)
        self._retrieval: Any = RetrievalServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    async def recall(self, **options: Unpack[RecallOptions]) -> RecallResponse:
        """The best k items of the whole catalogue."""
        return await self._call(self._retrieval.Recall, recall_request(**options))

    async def rerank(self, candidate_ids: Sequence[str], **options: Unpack[RerankOptions]) -> RerankResponse:
        """The candidates in order."""
        return await self._call(self._retrieval.Rerank, rerank_request(candidate_ids, **options))

    async def recommend(self, **options: Unpack[RecommendOptions]) -> RecommendResponse:
        """The best k items of the whole catalogue, recalled and reranked."""
        return await self._call(self._retrieval.Recommend, recommend_request(**options))

    async def recommend_many(
        self, requests: Iterable[RecommendOptions], timeout: float | None = None
    ) -> AsyncIterator[RecommendResponse | RetrievalError]:
        """Recommend for many users over one stream.

        Args:
            requests: arguments of `recommend`, a dictionary for each user; read as the answers are.
            timeout: seconds that the whole stream may take, None for any.

        Yields:
            an answer for each request, in their order; the error in its place for one that was refused.
        """
        messages = (recommend_request(**arguments) for arguments in requests)
        stream = self._retrieval.RecommendStream(messages, timeout=timeout, metadata=self._metadata)
        try:
            async for response in stream:
                refused = response.WhichOneof("outcome") == "error"
                yield RetrievalError.in_stream(response.error) if refused else response.answer
        except grpc.RpcError as error:
            raise RetrievalError.of(error) from None
        finally:
            stream.cancel()

    async def similar_items(self, item_ids: Sequence[str], **options: Unpack[SimilarOptions]) -> SimilarItemsResponse:
        """The items most like these."""
        return await self._call(self._retrieval.SimilarItems, similar_request(item_ids, **options))

    async def record_events(self, events: Sequence[EventFields]) -> RecordEventsResponse:
        """Record users' events; each once, however often it is sent."""
        return await self._call(self._retrieval.RecordEvents, record_request(events))

    async def is_serving(self, service: str = "") -> bool:
        """Whether the server, or one of its services by full name, says SERVING."""
        answer = await self._call(self._health.Check, HealthCheckRequest(service=service))
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the connection."""
        await self.close()

    async def _call(self, method: Callable[..., Awaitable[Response]], request: Any) -> Response:
        try:
            return await method(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise RetrievalError.of(error) from None


def _channel(address: str, attempts: int, security: Security) -> grpc.aio.Channel:
    options, credentials = channel_options(attempts), security.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, credentials, options)
