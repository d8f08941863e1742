"""Asks a retrieval server: one method per call of the API, one exception for what can go wrong."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, RequestInfo
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_status import rpc_status

from retrieval_server.retrieval.v1.retrieval_pb2 import (
    History,
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecommendResponse,
    RerankRequest,
    RerankResponse,
)
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT = 10.0

Response = TypeVar("Response")


class RetrievalError(Exception):
    """A call that was not answered.

    Attributes:
        code: the status.
        fields: what was wrong with which field of the request, by field path ("" for the whole), if anything was.
        error_id: where to look in the server's log, "" unless the fault is the server's.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        call = cast(grpc.Call, error)  # what a stub raises is the call as well, though its type does not say so
        self.code: grpc.StatusCode = call.code()
        super().__init__(f"{self.code.name}: {call.details()}")
        self.fields: dict[str, str] = {}
        self.error_id = ""
        status = rpc_status.from_call(call)
        for detail in status.details if status else ():
            bad_request, request_info = BadRequest(), RequestInfo()
            if detail.Unpack(bad_request):
                self.fields = {v.field: v.description for v in bad_request.field_violations}
            elif detail.Unpack(request_info):
                self.error_id = request_info.request_id


class RetrievalClient:
    """A connection to one retrieval server, to be shared by threads and closed at the end.

    >>> with RetrievalClient("127.0.0.1:50051") as client:  # doctest: +SKIP
    ...     answer = client.recall(history=["milk", "bread"], k=10)
    ...     for item_id, score in zip(answer.item_ids, answer.scores):
    ...         print(item_id, score)

    In every call `history` lists item ids, oldest first; `events` and `timestamps` (seconds since 1970 UTC), when
    given, have one entry for each. At least one of `user_id`, `history` and `query` is needed.

    Args:
        address: `host:port`.
        timeout: seconds that a call may take.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address)
        self._retrieval = RetrievalServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def recall(
        self,
        *,
        user_id: str = "",
        history: Sequence[str] = (),
        events: Sequence[str] = (),
        timestamps: Sequence[float] = (),
        query: str = "",
        k: int = 10,
        include_seen: bool = False,
        with_titles: bool = False,
    ) -> RecallResponse:
        """The best k items of the whole catalogue.

        Raises:
            RetrievalError: the server refused, failed, or could not be reached.
        """
        request = RecallRequest(
            user_id=user_id,
            history=History(item_ids=_strings("history", history), events=events, timestamps=timestamps),
            query=query,
            k=k,
            include_seen=include_seen,
            with_titles=with_titles,
        )
        return self._call(self._retrieval.Recall, request)

    def rerank(
        self,
        candidate_ids: Sequence[str],
        *,
        user_id: str = "",
        history: Sequence[str] = (),
        events: Sequence[str] = (),
        timestamps: Sequence[float] = (),
        query: str = "",
        with_titles: bool = False,
    ) -> RerankResponse:
        """The candidates in order.

        Raises:
            RetrievalError: the server refused, failed, or could not be reached.
        """
        request = RerankRequest(
            user_id=user_id,
            history=History(item_ids=_strings("history", history), events=events, timestamps=timestamps),
            query=query,
            candidate_ids=_strings("candidate_ids", candidate_ids),
            with_titles=with_titles,
        )
        return self._call(self._retrieval.Rerank, request)

    def recommend(
        self,
        *,
        user_id: str = "",
        history: Sequence[str] = (),
        events: Sequence[str] = (),
        timestamps: Sequence[float] = (),
        query: str = "",
        k: int = 10,
        include_seen: bool = False,
        with_titles: bool = False,
        candidates: int = 0,
    ) -> RecommendResponse:
        """The best k items of the whole catalogue, recalled and reranked; `candidates` 0 is the server's default.

        Raises:
            RetrievalError: the server refused, failed, or could not be reached.
        """
        request = RecommendRequest(
            user_id=user_id,
            history=History(item_ids=_strings("history", history), events=events, timestamps=timestamps),
            query=query,
            k=k,
            include_seen=include_seen,
            with_titles=with_titles,
            candidates=candidates,
        )
        return self._call(self._retrieval.Recommend, request)

    def is_serving(self, service: str = "") -> bool:
        """Whether the server, or one of its services by full name, says SERVING.

        Raises:
            RetrievalError: the server could not be reached, or has no such service.
        """
        answer = self._call(self._health.Check, HealthCheckRequest(service=service))
        return bool(answer.status == HealthCheckResponse.SERVING)

    def wait_until_serving(self, seconds: float) -> None:
        """Return as soon as the server says SERVING, which it need not have been started for yet.

        Raises:
            RetrievalError: it has not said so after that many seconds.
        """
        watch = self._health.Watch(HealthCheckRequest(), timeout=seconds, wait_for_ready=True)
        try:
            for answer in watch:
                if answer.status == HealthCheckResponse.SERVING:
                    return
        except grpc.RpcError as error:
            raise RetrievalError(error) from None
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

    def _call(self, method: Callable[..., Response], request: Any) -> Response:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise RetrievalError(error) from None


def _strings(name: str, ids: Sequence[str]) -> Sequence[str]:
    """The ids, checked: protobuf's own message for a number does not say which field or why."""
    for place, item_id in enumerate(ids):
        if not isinstance(item_id, str):
            raise TypeError(f"{name}[{place}] is {item_id!r}, a {type(item_id).__name__}: ids are strings, pass str(…)")
    return ids
