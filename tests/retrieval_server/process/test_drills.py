"""Things going wrong around a server that answers: counts and codes. What they cost is for `benchmarks.serving`."""

import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import grpc
import numpy as np
import pytest

from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import CacheConfig, ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Event,
    History,
    RecallRequest,
    RecallResponse,
    RecommendRequest,
    RecordEventsRequest,
    RerankRequest,
    SimilarItemsRequest,
)
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import ITEMS, item

ALLOWED = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"}


@pytest.fixture
def own_server(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Iterator[RetrievalServer]:
    server = RetrievalServer(
        replace(config, cache=CacheConfig(100, 600.0), events=replace(config.events, folder=tmp_path))
    )
    server.grpc_server.start()
    server.serve(shop)
    yield server
    server.stop(None)
    server.close()


def mutated(generator: random.Random) -> tuple[str, bytes]:
    """A request of any kind, often with some of its bytes changed, cut off or repeated."""
    ids = [item(generator.randrange(ITEMS + 5)) for _ in range(generator.randrange(8))]
    number = generator.choice([0, -1, 1, 5, 30, 10_000, 2**31 - 1])
    message = generator.choice(
        [
            RecallRequest(history=History(item_ids=ids), k=number, query="milk", budget_ms=number),
            RerankRequest(query="milk", candidate_ids=ids),
            RecommendRequest(user_id="ann", k=number, candidates=number, exclude_ids=ids),
            SimilarItemsRequest(item_ids=ids, k=number),
            RecordEventsRequest(events=[Event(event_id=one, user_id="fuzz", item_id=one) for one in ids]),
        ]
    )
    content = bytearray(message.SerializeToString())
    for _ in range(generator.randrange(4)):
        if content:
            place = generator.randrange(len(content))
            change = generator.randrange(3)
            if change == 0:
                content[place] = generator.randrange(256)
            elif change == 1:
                del content[place:]
            else:
                content[place:place] = content[: generator.randrange(1, 9)]
    return type(message).__name__.removesuffix("Request"), bytes(content)


def test_ten_thousand_mutated_requests_end_in_documented_codes(own_server: RetrievalServer) -> None:
    generator, codes = random.Random(17), Counter[str]()
    with grpc.insecure_channel(own_server.address) as channel:
        for _ in range(100):
            ended: SimpleQueue[grpc.Future] = SimpleQueue()
            for _ in range(100):
                method, content = mutated(generator)
                call = channel.unary_unary(f"/retrieval.v1.RetrievalService/{method}").future(content, timeout=60)
                call.add_done_callback(ended.put)
            codes.update(ended.get(timeout=60).code().name for _ in range(100))
    assert codes.keys() <= ALLOWED, codes
    assert sum(codes.values()) == 10_000
    assert codes["OK"] > 1000 and codes["INVALID_ARGUMENT"] > 1000, codes
    with RetrievalClient(own_server.address) as client:
        assert client.recall(query="milk").item_ids


def test_twenty_swaps_under_load_fail_no_call_and_mix_no_answer(
    own_server: RetrievalServer, shop: ServedBundle
) -> None:
    item_ids = [f"other-{row}" for row in range(ITEMS)]
    rows = {item_id: row for row, item_id in enumerate(item_ids)}
    other = replace(shop, version="other", row_of=rows, item_ids=np.array(item_ids, object))
    bundles, answers = [shop, other], SimpleQueue[RecallResponse]()
    with RetrievalClient(own_server.address, attempts=1) as client, ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(lambda n=n: answers.put(client.recall(query=f"call {n}", k=5))) for n in range(2000)]
        kinds: Counter[tuple[str, frozenset[str]]] = Counter()
        for number in range(2000):
            if number % 95 == 94:
                own_server.swap(bundles[number // 95 % 2 - 1])
            answer = answers.get(timeout=60)
            kinds[answer.bundle_version, frozenset(one.split("-")[0] for one in answer.item_ids)] += 1
        assert not any(call.exception() for call in calls)
    assert set(kinds) == {("other", frozenset({"other"})), (shop.version, frozenset({"item"}))}
    assert min(kinds.values()) > 100


def test_a_thousand_idle_connections_keep_nobody_from_being_answered(own_server: RetrievalServer) -> None:
    host, port = own_server.address.rsplit(":", 1)
    with ExitStack() as stack, RetrievalClient(own_server.address, attempts=1) as client:
        for _ in range(1000):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
        for row in range(ITEMS):
            assert client.recall(history=[item(row)], k=5).item_ids


class Jumping:
    """The time module for our own code, with a wall clock that jumps by years at every look."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._now = 1.7e9

    def time(self) -> float:
        self._now += -1e8 if self._now > 1e9 else 3e8
        return self._now


def test_a_clock_that_jumps_moves_no_duration(own_server: RetrievalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with RetrievalClient(own_server.address) as client:
        before, uptime = client.recommend(query="milk"), client.status().uptime_seconds
        ours = [module for name, module in sys.modules.items() if name.startswith("retrieval_server.")]
        timed = [module for module in ours if getattr(module, "time", None) is time]
        assert len(timed) > 5
        for module in timed:
            monkeypatch.setattr(module, "time", Jumping())
        for _ in range(5):
            answer = client.recommend(query="milk", with_timings=True)
            assert [timing.stage for timing in answer.timings] == ["resolve", "rerank"], "kept from before"
            assert all(0 <= timing.milliseconds < 60_000 for timing in answer.timings)
            assert answer.item_ids == before.item_ids
            assert uptime <= client.status().uptime_seconds < uptime + 600
