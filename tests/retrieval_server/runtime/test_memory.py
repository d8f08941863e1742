"""A version that is served no more leaves nothing behind."""

import gc
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from index import Bundle, LiveBundle
from retrieval_server.bundles import live_items
from retrieval_server.bundles.live_items import LiveItems
from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
from retrieval_server.telemetry.observer import Observer
from tests import processes
from tests.retrieval_server.shop import SECOND

NEVER = 3600.0
"""Seconds until the watcher looks by itself."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_memory_is_given_back_once_when_no_request_holds_the_former_version(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(live_items, "give_back", lambda: given.append("back"))
    slot = BundleSlot()
    items = LiveItems(slot, Observer(log_calls=False), NEVER)
    items.put(ServedBundle.of(LiveBundle.load(bundles / "current")))
    request = slot.take()
    items.put(ServedBundle.of(LiveBundle.load(bundles / SECOND)))
    items.tidy()
    assert not given, "a request still reads it"
    del request
    items.tidy()
    items.tidy()
    assert given == ["back"]
    items.close()


@pytest.mark.usefixtures("no_collector")
def test_a_user_encoder_goes_with_its_bundle_without_the_collector(bundles: Path) -> None:
    bundle = Bundle.load(bundles / "current")
    encoder = weakref.ref(bundle.user_encoder.towers)
    del bundle
    assert encoder() is None


def test_the_collector_walks_over_what_a_version_brought_and_not_over_modules(bundles: Path) -> None:
    code = (
        "import gc, retrieval_server.transport.server\n"
        "from pathlib import Path\n"
        "from index import LiveBundle\n"
        "from retrieval_server.runtime.memory import settle\n"
        "before = len(gc.get_objects())\n"
        "settle()\n"
        f"bundle = LiveBundle.load(Path({os.fspath(bundles / 'current')!r}))\n"
        "print(before, len(gc.get_objects()))\n"
    )
    done = processes.run(processes.python("-c", code), check=True)
    before, walked = map(int, done.stdout.split())
    assert walked < before / 4
