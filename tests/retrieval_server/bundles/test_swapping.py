"""Status, Swap, Rollback: another version whole, or the old one untouched."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import grpc
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.bundles.swapping import Swapper
from retrieval_server.config import ServeConfig
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import SECOND, Gated, item


@pytest.fixture
def folder(bundle_copies: Path) -> Path:
    """The two versions, for a test that damages them."""
    return bundle_copies


@pytest.fixture
def admin(config: ServeConfig, folder: Path) -> Iterator[RetrievalClient]:
    """A client of a server of the real thing, started with the link `current`."""
    server = RetrievalServer(replace(config, bundle=folder / "current"))
    server.grpc_server.start()
    server.slot.put(server.load(folder / "current"))
    with RetrievalClient(server.address) as client:
        yield client
    server.stop(None)
    server.close()


def refused(admin: RetrievalClient, version: str) -> RetrievalError:
    with pytest.raises(RetrievalError) as error:
        admin.swap(version)
    return error.value


def test_a_swap_serves_another_version_and_a_rollback_the_one_before(admin: RetrievalClient, folder: Path) -> None:
    first = (folder / "current").resolve().name
    assert (admin.status().bundle_version, admin.status().previous_version) == (first, "")
    swapped = admin.swap(SECOND)
    assert (swapped.bundle_version, swapped.previous_version) == (SECOND, first)
    assert admin.recall(query="anything", k=1).bundle_version == SECOND
    assert (admin.status().bundle_version, admin.status().previous_version) == (SECOND, first)
    started = time.monotonic()
    assert admin.rollback().bundle_version == first
    assert time.monotonic() - started <= 5
    assert admin.recall(query="anything", k=1).bundle_version == first
    assert admin.rollback().bundle_version == SECOND, "twice is where one started"
    assert admin.status().swaps == 3


def test_a_swap_without_a_name_follows_the_link_the_server_was_started_with(
    admin: RetrievalClient, folder: Path
) -> None:
    assert admin.swap().bundle_version == (folder / "current").resolve().name, "nothing to do"
    assert admin.status().swaps == 0
    (folder / "current").unlink()
    (folder / "current").symlink_to(SECOND)
    assert admin.swap().bundle_version == SECOND


def test_a_damaged_version_is_refused_whatever_the_damage_and_the_old_one_stays(
    admin: RetrievalClient, folder: Path
) -> None:
    before = admin.recall(query="anything", k=5)
    files = sorted(path for path in (folder / SECOND).rglob("*") if path.is_file())
    for number in range(20):
        victim = files[number % len(files)]
        sound = victim.read_bytes()
        damaged = bytearray(sound)
        damaged[(number * 7919) % len(damaged)] ^= 1 << number % 8
        victim.write_bytes(damaged)
        error = refused(admin, SECOND)
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "SWAP_REFUSED"
        assert f"{before.bundle_version} is still being served" in str(error)
        victim.write_bytes(sound)
    assert admin.recall(query="anything", k=5) == before
    assert admin.swap(SECOND).bundle_version == SECOND, "sound again"


def test_a_version_that_is_not_there_is_refused(admin: RetrievalClient) -> None:
    assert refused(admin, "20250101T000000-00000000").code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("name", ["../secret", "/etc", "a/b", ".", "..", ".hidden", "a b", "x" * 129, "a\x00b"])
def test_what_is_a_path_rather_than_a_name_is_refused(admin: RetrievalClient, name: str) -> None:
    error = refused(admin, name)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields.keys() == {"version"}


def test_there_is_nothing_to_roll_back_to_before_a_swap(admin: RetrievalClient) -> None:
    with pytest.raises(RetrievalError, match="no swap to take back") as error:
        admin.rollback()
    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_a_second_swap_at_the_same_time_is_refused(tmp_path: Path) -> None:
    loading, go_on = Event(), Event()

    def put(folder: Path) -> str:
        loading.set()
        assert go_on.wait(30)
        return folder.name

    swapper = Swapper(tmp_path / "current", lambda: "before", put)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(swapper.swap, "one")
        assert loading.wait(30)
        with pytest.raises(Exception, match="another swap is at work"):
            swapper.swap("two")
        go_on.set()
        assert first.result(30).version == "one"


def test_a_request_under_way_ends_with_the_version_it_began_with(gated: Gated, shop: ServedBundle) -> None:
    with RetrievalClient(gated.server.address) as client, ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.recommend, history=[item(1)], k=3)
        gated.encoder.wait_until_busy()
        gated.server.slot.put(replace(shop, version="another"))
        assert client.similar_items([item(1)]).bundle_version == "another"
        gated.encoder.open()
        assert call.result(30).bundle_version == shop.version


def test_a_server_that_is_loading_says_so_and_swaps_nothing(server_not_ready: RetrievalServer) -> None:
    with RetrievalClient(server_not_ready.address, attempts=1) as client:
        assert client.status().bundle_version == ""
        with pytest.raises(RetrievalError, match="loading") as error:
            client.swap("one")
        assert error.value.code is grpc.StatusCode.UNAVAILABLE
