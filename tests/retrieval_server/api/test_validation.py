"""Whatever a caller sends: a documented status that names field, limit and cure, and a server that lives."""

import random
import socket
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.api.limits import Limits
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import History, RecallRequest, RecallResponse
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import GatedEncoder, item

MIB = 2**20


def refusal(client: RetrievalClient, call: str = "recall", **request: Any) -> RetrievalError:
    with pytest.raises(RetrievalError) as refused:
        getattr(client, call)(**request)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return refused.value


@pytest.mark.parametrize("call", ["recall", "recommend"])
@pytest.mark.parametrize("query", ["", "  \t\n "])
def test_nobody_asking_is_refused_naming_the_three_fields(client: RetrievalClient, call: str, query: str) -> None:
    (message,) = refusal(client, call, query=query).fields.values()
    assert all(field in message for field in ("user_id", "history", "query"))


@pytest.mark.parametrize("k", [0, -1, 101, 2**31 - 1, -(2**31)])
def test_k_outside_its_limits_is_refused_naming_them(client: RetrievalClient, k: int) -> None:
    fields = refusal(client, query="milk", k=k).fields
    assert fields == {"k": f"is {k}; ask for 1 to 100 (limits.k)"}


@pytest.mark.parametrize("k", [0, -1, 31, 2**31 - 1])
def test_recommends_k_is_limited_by_what_can_be_reranked(client: RetrievalClient, k: int) -> None:
    assert "1 to 30 (limits.candidates)" in refusal(client, "recommend", query="milk", k=k).fields["k"]


@pytest.mark.parametrize("candidates", [-1, 31, 2**31 - 1])
def test_recommends_candidates_outside_their_limits_are_refused(client: RetrievalClient, candidates: int) -> None:
    fields = refusal(client, "recommend", query="milk", candidates=candidates).fields
    assert "limits.candidates" in fields["candidates"]


@pytest.mark.parametrize("count", [0, 31])
def test_no_candidates_and_too_many_are_refused(client: RetrievalClient, count: int) -> None:
    fields = refusal(client, "rerank", candidate_ids=[item(row) for row in range(count)], query="milk").fields
    assert fields == {"candidate_ids": f"has {count} items; send 1 to 30 (limits.candidates)"}


def test_a_history_over_the_limit_is_refused(client: RetrievalClient, limits: Limits) -> None:
    fields = refusal(client, history=[item(1)] * (limits.history + 1)).fields
    assert fields == {"history.item_ids": "has 10001 items; send the newest 10000 at most (limits.history)"}


@pytest.mark.parametrize("letter", ["x", "é", "牛", "🥛"])
def test_a_query_is_measured_in_bytes(client: RetrievalClient, limits: Limits, letter: str) -> None:
    fitting = letter * (limits.query_bytes // len(letter.encode()))
    assert client.recall(query=fitting).item_ids
    assert "4096 (limits.query_bytes)" in refusal(client, query=fitting + letter).fields["query"]


def test_a_query_of_a_megabyte_is_refused(client: RetrievalClient) -> None:
    assert "has 1048576 bytes" in refusal(client, query="x" * MIB).fields["query"]


@pytest.mark.parametrize(
    "query",
    [
        "milk\x00bread",
        "\x00",
        "🥛🧀" * 100,
        "חלב ולחם",
        "\u202emilk\u202c",
        "milk\r\nERROR everything is lost",
        "\x1b[31mred\x1b[0m",
        "".join(map(chr, range(1, 32))) + "x",
        "\u2028\ufeff\ufffe\U0010ffff",
        "e\u0301" * 500,
        "%s %d {} ${x} '; DROP TABLE items; --",
    ],
)
def test_strange_queries_are_answered(client: RetrievalClient, query: str) -> None:
    assert len(client.recall(query=query, k=3).item_ids) == 3


@pytest.mark.parametrize("field", ["user_id", "history", "candidate_ids", "events"])
def test_an_identifier_over_the_limit_is_refused(client: RetrievalClient, limits: Limits, field: str) -> None:
    long = "é" * (limits.id_bytes // 2) + "x"
    request: dict[str, Any] = {"query": "milk", "candidate_ids": [item(1)], "history": [item(2)]}
    request[field] = long if field == "user_id" else [long]
    path = {"user_id": "user_id", "candidate_ids": "candidate_ids[0]"}.get(field, "history.")
    ((where, message),) = refusal(client, "rerank", **request).fields.items()
    assert where.startswith(path)
    assert message == "has 513 bytes in UTF-8; send at most 512 (limits.id_bytes)"


@pytest.mark.parametrize("field", ["events", "timestamps"])
def test_arrays_that_do_not_match_the_history_are_refused(client: RetrievalClient, field: str) -> None:
    entries = {"events": ["view"], "timestamps": [1.0]}[field]
    fields = refusal(client, history=[item(1), item(2)], **{field: entries}).fields
    assert fields == {f"history.{field}": "has 1 entries for 2 in history.item_ids; send one for each, or none"}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf"), -1.0, 1_700_000_000_000.0])
def test_a_time_that_is_none_is_refused(client: RetrievalClient, wrong: float) -> None:
    fields = refusal(client, history=[item(1), item(2)], timestamps=[1.0, wrong]).fields
    assert "not milliseconds" in fields["history.timestamps[1]"]


def test_a_history_that_is_not_oldest_first_is_refused(client: RetrievalClient) -> None:
    fields = refusal(client, history=[item(1)] * 3, timestamps=[5.0, 5.0, 4.0]).fields
    assert "oldest first" in fields["history.timestamps[2]"]


def test_everything_that_is_wrong_is_told_at_once(client: RetrievalClient) -> None:
    fields = refusal(client, k=0, query="x" * 5000, user_id="y" * 600).fields
    assert fields.keys() == {"k", "query", "user_id"}


def test_thousands_of_violations_still_fit_into_one_answer(client: RetrievalClient) -> None:
    error = refusal(client, history=["x" * 600] * 5000)
    assert "and 4992 more" in str(error)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\xff\xff\xff",
        b"\x1a\x02\xff\xfe",  # field 3, the query, holds what is not UTF-8
        b"\x1a\x7fshort",  # a length beyond the end
        RecallRequest(query="milk", history=History(item_ids=[item(1)]), k=5).SerializeToString()[:-1],
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("method", ["Recall", "Rerank", "Recommend"])
def test_a_message_that_cannot_be_parsed_is_refused(channel: grpc.Channel, method: str, message: bytes) -> None:
    call = channel.unary_unary(f"/retrieval.v1.RetrievalService/{method}")
    with pytest.raises(grpc.RpcError) as refused:
        call(message, timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be parsed" in refused.value.details()


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/retrieval.v1.RetrievalService/Sell")(b"", timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_fields_of_a_later_version_are_ignored(channel: grpc.Channel) -> None:
    message = RecallRequest(query="milk", k=3).SerializeToString() + b"\xf2\x07\x03new"
    answer = channel.unary_unary("/retrieval.v1.RetrievalService/Recall")(message, timeout=10)
    assert len(RecallResponse.FromString(answer).item_ids) == 3


def test_a_message_of_ten_megabytes_is_refused(channel: grpc.Channel) -> None:
    message = RecallRequest(query="x" * 10 * MIB, k=3).SerializeToString()
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/retrieval.v1.RetrievalService/Recall")(message, timeout=10)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_junk_connections_disturb_nobody(server: RetrievalServer, client: RetrievalClient) -> None:
    host, port = server.address.rsplit(":", 1)
    generator = random.Random(3)
    for number in range(1000):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            junk = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" if number % 2 else generator.randbytes(200)
            connection.sendall(junk)
        if number % 50 == 0:
            assert client.recall(query="milk", k=3).item_ids
    assert client.is_serving()


def test_calls_over_the_number_accepted_at_once_are_refused_at_once(config: ServeConfig, shop: ServedBundle) -> None:
    encoder = GatedEncoder(shop)
    server = RetrievalServer(replace(config, max_concurrent_calls=4, handlers=2))
    server.grpc_server.start()
    server.slot.put(replace(shop, user_encoder=encoder))
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrievalServiceStub(channel)
        done: SimpleQueue[grpc.Future] = SimpleQueue()
        for _ in range(10):
            stub.Recall.future(RecallRequest(query="milk", k=5), timeout=60).add_done_callback(done.put)
        refused = {done.get(timeout=60).code() for _ in range(6)}
        encoder.open()
        answered = {done.get(timeout=60).code() for _ in range(4)}
    assert refused == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert answered == {grpc.StatusCode.OK}
    server.stop(None)
    server.close()
