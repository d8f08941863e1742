"""The two clients: the same answers, the same errors; what is tried again, and what is not."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from retrieval_server import AsyncRetrievalClient, RetrievalClient, RetrievalError
from retrieval_server.retrieval.v1 import retrieval_pb2_grpc
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest, RecallResponse
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import item

CALLS: list[Callable[[Any], Any]] = [
    lambda client: client.recall(history=[item(1)], k=5, exclude=[item(2)], with_titles=True),
    lambda client: client.rerank([item(4), item(5), "gone"], query="milk"),
    lambda client: client.recommend(history=[item(1)], query="milk", k=5, candidates=20),
    lambda client: client.similar_items([item(1)], k=5),
    lambda client: client.is_serving(),
]


@pytest.mark.parametrize("call", CALLS)
def test_both_clients_are_answered_alike(
    server: RetrievalServer, client: RetrievalClient, call: Callable[[Any], Any]
) -> None:
    async def ask() -> Any:
        async with AsyncRetrievalClient(server.address) as other:
            return await call(other)

    assert asyncio.run(ask()) == call(client)


def test_both_clients_get_streams_alike(server: RetrievalServer, client: RetrievalClient) -> None:
    requests: Any = [{"query": "milk", "k": 3}, {"query": "milk", "k": 0}, {"history": [item(3)], "k": 3}]

    async def ask() -> list[Any]:
        async with AsyncRetrievalClient(server.address) as other:
            return [found async for found in other.recommend_many(requests)]

    (first, wrong, last), expected = asyncio.run(ask()), list(client.recommend_many(requests))
    assert [first, last] == [expected[0], expected[2]]
    assert isinstance(wrong, RetrievalError)
    assert wrong.fields == expected[1].fields  # type: ignore[union-attr]


def test_both_clients_fail_alike(server: RetrievalServer, client: RetrievalClient) -> None:
    async def ask() -> None:
        async with AsyncRetrievalClient(server.address) as other:
            await other.recall(k=0)

    with pytest.raises(RetrievalError) as one:
        client.recall(k=0)
    with pytest.raises(RetrievalError) as two:
        asyncio.run(ask())
    assert (str(one.value), one.value.fields, one.value.reason) == (str(two.value), two.value.fields, two.value.reason)
    assert one.value.reason == "INVALID_REQUEST"


def test_many_calls_of_one_event_loop_are_under_way_at_once(server: RetrievalServer, client: RetrievalClient) -> None:
    async def ask() -> list[Any]:
        async with AsyncRetrievalClient(server.address) as other:
            return await asyncio.gather(*(other.recall(history=[item(row)], k=5) for row in range(40)))

    answers = asyncio.run(ask())
    assert [a.item_ids for a in answers] == [client.recall(history=[item(r)], k=5).item_ids for r in range(40)]


class Flaky(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Ends its first calls in a status, then answers."""

    def __init__(self, code: grpc.StatusCode, failures: int) -> None:
        self.code = code
        self.failures = failures
        self.calls = 0

    def Recall(self, request: RecallRequest, context: grpc.ServicerContext) -> RecallResponse:
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(self.code, "not now")
        return RecallResponse(bundle_version="at last")


@contextmanager
def serving(flaky: Flaky) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(flaky, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


def ask_sync(address: str, **settings: Any) -> str:
    with RetrievalClient(address, **settings) as client:
        return client.recall(query="milk").bundle_version


def ask_async(address: str, **settings: Any) -> str:
    async def ask() -> str:
        async with AsyncRetrievalClient(address, **settings) as client:
            return (await client.recall(query="milk")).bundle_version

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [ask_sync, ask_async])
@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED]
)
def test_what_may_succeed_next_time_is_tried_again(ask: Callable[..., str], code: grpc.StatusCode) -> None:
    flaky = Flaky(code, failures=2)
    with serving(flaky) as address:
        assert ask(address, attempts=3) == "at last"
    assert flaky.calls == 3


@pytest.mark.parametrize("ask", [ask_sync, ask_async])
@pytest.mark.parametrize(
    ("code", "attempts", "calls"),
    [
        (grpc.StatusCode.UNAVAILABLE, 2, 2),
        (grpc.StatusCode.UNAVAILABLE, 1, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, 5, 1),
        (grpc.StatusCode.INTERNAL, 5, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 5, 1),
    ],
)
def test_nothing_is_tried_more_often_than_it_should(
    ask: Callable[..., str], code: grpc.StatusCode, attempts: int, calls: int
) -> None:
    flaky = Flaky(code, failures=99)
    with serving(flaky) as address, pytest.raises(RetrievalError) as failed:
        ask(address, attempts=attempts)
    assert failed.value.code is code
    assert flaky.calls == calls


def test_all_attempts_together_keep_to_the_deadline() -> None:
    flaky = Flaky(grpc.StatusCode.UNAVAILABLE, failures=99)
    with serving(flaky) as address, pytest.raises(RetrievalError) as failed:
        ask_sync(address, attempts=5, timeout=0.02)
    assert failed.value.code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
    assert flaky.calls < 5


@pytest.mark.parametrize("attempts", [0, 6])
def test_a_number_of_attempts_that_grpc_does_not_make_is_refused(attempts: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to 5"):
        RetrievalClient(attempts=attempts)
