"""Asks a retrieval server: one method per call of the API, one exception for what can go wrong."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar, Unpack

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from retrieval_server.client.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, OPEN, Security, channel_options
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.requests import (
    EventFields,
    ItemFields,
    RecallOptions,
    RecommendOptions,
    RerankOptions,
    SimilarOptions,
    delete_request,
    recall_request,
    recommend_request,
    record_request,
    rerank_request,
    similar_request,
    upsert_request,
)
from retrieval_server.retrieval.v1.admin_pb2 import (
    DeleteItemsResponse,
    RollbackRequest,
    StatusRequest,
    StatusResponse,
    SwapRequest,
    SwapResponse,
    UpsertItemsResponse,
)
from retrieval_server.retrieval.v1.admin_pb2_grpc import AdminServiceStub
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    RecallResponse,
    RecommendResponse,
    RecordEventsResponse,
    RerankResponse,
    SimilarItemsResponse,
)
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub

SWAP_TIMEOUT = 600.0
"""Seconds that a swap may take: a large bundle has many bytes to check."""

CHANGE_TIMEOUT = 60.0
"""Seconds that a change of many items may take: each text is encoded."""

Response = TypeVar("Response")


class RetrievalClient:
    """A connection to one retrieval server, to be shared by threads and closed at the end.

    >>> with RetrievalClient("127.0.0.1:50051") as client:  # doctest: +SKIP
    ...     answer = client.recall(history=["milk", "bread"], k=10)
    ...     for item_id, score in zip(answer.item_ids, answer.scores):
    ...         print(item_id, score)

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
        self._retrieval = RetrievalServiceStub(self._channel)
        self._admin = AdminServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def recall(self, **options: Unpack[RecallOptions]) -> RecallResponse:
        """The best k items of the whole catalogue."""
        return self._call(self._retrieval.Recall, recall_request(**options))

    def rerank(self, candidate_ids: Sequence[str], **options: Unpack[RerankOptions]) -> RerankResponse:
        """The candidates in order."""
        return self._call(self._retrieval.Rerank, rerank_request(candidate_ids, **options))

    def recommend(self, **options: Unpack[RecommendOptions]) -> RecommendResponse:
        """The best k items of the whole catalogue, recalled and reranked."""
        return self._call(self._retrieval.Recommend, recommend_request(**options))

    def recommend_many(
        self, requests: Iterable[RecommendOptions], timeout: float | None = None
    ) -> Iterator[RecommendResponse | RetrievalError]:
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
            for response in stream:
                refused = response.WhichOneof("outcome") == "error"
                yield RetrievalError.in_stream(response.error) if refused else response.answer
        except grpc.RpcError as error:
            raise RetrievalError.of(error) from None
        finally:
            stream.cancel()

    def similar_items(self, item_ids: Sequence[str], **options: Unpack[SimilarOptions]) -> SimilarItemsResponse:
        """The items most like these."""
        return self._call(self._retrieval.SimilarItems, similar_request(item_ids, **options))

    def record_events(self, events: Sequence[EventFields]) -> RecordEventsResponse:
        """Record users' events; each once, however often it is sent."""
        return self._call(self._retrieval.RecordEvents, record_request(events))

    def status(self) -> StatusResponse:
        """The version that the server serves."""
        return self._call(self._admin.Status, StatusRequest())

    def swap(self, version: str = "", timeout: float = SWAP_TIMEOUT) -> SwapResponse:
        """Have the server serve another version, "" for its `bundle` option, as it is now."""
        return self._call(self._admin.Swap, SwapRequest(version=version), timeout)

    def rollback(self, timeout: float = SWAP_TIMEOUT) -> SwapResponse:
        """Have the server serve the version before the last swap."""
        return self._call(self._admin.Rollback, RollbackRequest(), timeout)

    def upsert_items(self, items: Sequence[ItemFields], timeout: float = CHANGE_TIMEOUT) -> UpsertItemsResponse:
        """Put items in, each replacing the item of its id; the next call finds them.

        Args:
            items: each with `item_id` and `text`, and any other column of the catalogue; what is left out is unknown.
            timeout: seconds it may take.
        """
        return self._call(self._admin.UpsertItems, upsert_request(items), timeout)

    def delete_items(self, item_ids: Sequence[str], timeout: float = CHANGE_TIMEOUT) -> DeleteItemsResponse:
        """Take items out; the next call does not find them."""
        return self._call(self._admin.DeleteItems, delete_request(item_ids), timeout)

    def is_serving(self, service: str = "") -> bool:
        """Whether the server, or one of its services by full name, says SERVING."""
        answer = self._call(self._health.Check, HealthCheckRequest(service=service))
        return bool(answer.status == HealthCheckResponse.SERVING)

    def wait_until_serving(self, seconds: float) -> None:
        """Return as soon as the server says SERVING, which it need not have been started for yet.

        Raises:
            RetrievalError: it has not said so after that many seconds.
        """
        watch = self._health.Watch(HealthCheckRequest(), timeout=seconds, metadata=self._metadata, wait_for_ready=True)
        try:
            for answer in watch:
                if answer.status == HealthCheckResponse.SERVING:
                    return
        except grpc.RpcError as error:
            raise RetrievalError.of(error) from None
        finally:
            watch.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self.close()

    def _call(self, method: Callable[..., Response], request: Any, timeout: float | None = None) -> Response:
        try:
            return method(request, timeout=timeout or self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise RetrievalError.of(error) from None


def _channel(address: str, attempts: int, security: Security) -> grpc.Channel:
    options, credentials = channel_options(attempts), security.credentials()
    if credentials is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)
