"""Threads that keep to a core, and those that do not."""

import os
import threading
from dataclasses import replace

import pytest

from data_prep.errors import UsageError
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import item


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not tie threads to cores")
def test_calls_keep_to_one_core_and_the_cross_encoder_to_none(config: ServeConfig, shop: ServedBundle) -> None:
    every = os.sched_getaffinity(0)
    before = {thread.native_id for thread in threading.enumerate()}
    server = RetrievalServer(replace(config, core=len(every) + 1))  # counted around
    server.start()
    server.serve(shop)
    with RetrievalClient(server.address) as client:
        client.recommend(history=[item(1)], k=3)
        assert client.status().bundle_version == shop.version
    own = [thread for thread in threading.enumerate() if thread.native_id not in before]
    handlers = [os.sched_getaffinity(t.native_id or 0) for t in own if t.name.startswith("handler")]
    beside = [os.sched_getaffinity(t.native_id or 0) for t in own if t.name.startswith(("rerank", "side"))]
    server.stop(None)
    server.close()
    assert handlers and all(cores == {sorted(every)[1 % len(every)]} for cores in handlers)
    assert len(beside) >= 2 and all(cores == every for cores in beside)
    assert os.sched_getaffinity(0) == every


def test_a_system_without_it_says_so(config: ServeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    server = RetrievalServer(replace(config, core=0))
    with pytest.raises(UsageError, match=r"core=0: this system does not tie threads to cores"):
        server.start()
    server.close()
