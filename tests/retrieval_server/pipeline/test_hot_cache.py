"""The cache of recalls: what is asked again, by whom it may be answered, and when it may not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from retrieval_server import RetrievalClient
from retrieval_server.api.budget import Budget
from retrieval_server.api.errors import Expired
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import CacheConfig, ServeConfig
from retrieval_server.pipeline.hot_cache import HotCache
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import MeanEncoder, item


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("retrieval_server.pipeline.hot_cache.time", clock)
    return clock


@pytest.fixture
def told() -> list[str]:
    return []


def test_a_value_is_kept_for_its_time(clock: Clock, told: list[str]) -> None:
    cache: HotCache[int] = HotCache(10, 30.0, told.append)
    values = iter([1, 2])
    for now, expected in [(100.0, 1), (129.9, 1), (130.1, 2)]:
        clock.now = now
        assert cache.get("key", lambda: next(values), Budget()) == expected
    assert told == ["miss", "hit", "miss"]


def test_those_asked_for_last_are_kept(told: list[str]) -> None:
    cache: HotCache[str] = HotCache(2, 60.0, told.append)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert cache.get(key, lambda: key, Budget()) == key  # noqa: B023
    assert told == ["miss", "miss", "hit", "miss", "hit", "miss"]


def test_one_computes_for_all_who_ask_at_once(told: list[str]) -> None:
    cache: HotCache[int] = HotCache(10, 60.0, told.append)
    begun, go_on = Event(), Event()

    def compute() -> int:
        begun.set()
        assert go_on.wait(30)
        return 7

    def never() -> int:
        raise AssertionError("computed twice")

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(cache.get, "key", compute, Budget())
        assert begun.wait(30)
        others = [pool.submit(cache.get, "key", never, Budget()) for _ in range(4)]
        with pytest.raises(Expired):
            cache.get("key", never, Budget(deadline=0.02))
        while told.count("joined") < 5:
            assert not first.done()
        go_on.set()
        assert [call.result(30) for call in [first, *others]] == [7] * 5
    assert told.count("miss") == 1


def test_an_error_is_not_kept_and_not_shared(told: list[str]) -> None:
    cache: HotCache[int] = HotCache(10, 60.0, told.append)
    begun, go_on = Event(), Event()

    def fail() -> int:
        begun.set()
        assert go_on.wait(30)
        raise ValueError("mine")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", fail, Budget())
        assert begun.wait(30)
        second = pool.submit(cache.get, "key", lambda: 5, Budget())
        while "joined" not in told:
            assert not first.done()
        go_on.set()
        assert second.result(30) == 5
        with pytest.raises(ValueError, match="mine"):
            first.result(30)
    assert cache.get("key", lambda: 6, Budget()) == 6


@pytest.fixture
def keeping(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Iterator[RetrievalServer]:
    events = replace(config.events, folder=tmp_path)
    server = RetrievalServer(replace(config, cache=CacheConfig(100, 600.0), events=events))
    server.grpc_server.start()
    server.serve(replace(shop, user_encoder=MeanEncoder(shop.vectors)))
    yield server
    server.stop(None)
    server.close()


def test_what_is_asked_again_is_not_computed_again_unless_anything_differs(
    keeping: RetrievalServer, shop: ServedBundle, client: RetrievalClient
) -> None:
    bundle = keeping.slot.take()
    seen = bundle.user_encoder.seen  # type: ignore[attr-defined]
    with RetrievalClient(keeping.address) as kept:
        requests = [
            {"query": "milk", "k": 5},
            {"query": "milk", "k": 6},
            {"query": "milk", "k": 5, "exclude": [item(3)]},
            {"query": "milk", "k": 5, "filter": {"categories": ["c1"]}},
            {"query": "milk", "k": 5, "filter": {"categories": ["c2"]}},
            {"query": "milk", "k": 5, "filter": {"brands": ["c1"]}},
            {"query": "bread", "k": 5},
            {"history": [item(1)], "k": 5},
            {"history": [item(1)], "k": 5, "include_seen": True},
            {"history": [item(1)], "events": ["cart"], "k": 5},
            {"history": [item(1)], "timestamps": [3.0], "k": 5},
            {"user_id": "ann", "k": 5},
        ]
        for _ in range(2):
            for request in requests:
                assert kept.recall(**request) == client.recall(**request)  # type: ignore[arg-type]
        assert len(seen) == len(requests)
        kept.record_events([{"user_id": "ann", "item_id": item(9), "timestamp": 99.0}])
        assert kept.recall(user_id="ann", k=5) != client.recall(user_id="ann", k=5), "what was recorded is seen at once"
        keeping.slot.put(replace(bundle, version="another"))
        assert kept.recall(query="milk", k=5).bundle_version == "another"
        assert len(seen) == len(requests) + 2
