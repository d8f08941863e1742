"""The Redis store, against Debian's real server on a free port."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_prep.errors import UsageError
from retrieval_server.events.redis_event_store import RedisStore
from retrieval_server.events.user_events import StoreUnavailable, UserEvent
from tests import processes

pytest.importorskip("redis", reason="the package redis comes with the extra `redis`")
needs_server = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="no redis-server here: apt-get install redis-server"
)


@dataclass
class Running:
    process: subprocess.Popen[str]
    url: str


def event(number: int, user: str = "ann") -> UserEvent:
    return UserEvent(f"e{number}", user, f"item-{number}", "view", float(number))


def store_at(url: str, **changed: float) -> RedisStore:
    settings = {"events": 3, "keep_seconds": 60, "repeat_seconds": 60, "timeout_seconds": 5.0, "pause_seconds": 60.0}
    return RedisStore(url, **{**settings, **changed})  # type: ignore[arg-type]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with processes.started(arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout)
        yield Running(process, f"redis://127.0.0.1:{port}/0")


@needs_server
def test_events_are_remembered_once_in_time_bounded_and_seen_by_every_process(redis: Running) -> None:
    first, second = store_at(redis.url), store_at(redis.url)
    first.append([event(1), event(2), event(1)])
    second.append([event(2), event(4), event(7, "bob"), event(3)])
    assert [found.event_id for found in first.recent("ann")] == ["e2", "e3", "e4"]
    assert second.recent("bob") == [event(7, "bob")]
    assert first.recent("nobody") == []
    assert first.known(["e1", "e7", "e9"]) == {"e1", "e7"}
    assert first.known([]) == set()
    first.append([])


@needs_server
def test_strange_names_come_back_as_they_were(redis: Running) -> None:
    strange = UserEvent("e:1\n", "naïve 牛\x00", 'a"b', "", 1.5)
    store = store_at(redis.url)
    store.append([strange])
    assert store.recent(strange.user_id) == [strange]


@needs_server
def test_what_is_kept_is_kept_for_a_while(redis: Running) -> None:
    store = store_at(redis.url, keep_seconds=1000, repeat_seconds=500)
    store.append([event(1)])
    assert 990 <= store._client.ttl("twotower:events:ann") <= 1000
    assert 490 <= store._client.ttl("twotower:event:e1") <= 500


@needs_server
def test_a_server_that_died_is_unavailable_and_left_alone_for_a_while(redis: Running) -> None:
    store = store_at(redis.url)
    store.append([event(1)])
    redis.process.kill()
    redis.process.wait()
    with pytest.raises(StoreUnavailable, match="redis: "):
        store.recent("ann")
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        store.append([event(2)])
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        store.known(["e1"])


@pytest.mark.parametrize("name", ["events", "keep_seconds", "repeat_seconds"])
def test_a_senseless_bound_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=f"event_store.{name} must be at least 1, not 0"):
        store_at("redis://127.0.0.1:1/0", **{name: 0})
