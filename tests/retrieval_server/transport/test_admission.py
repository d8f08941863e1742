"""Too much to do: less is done for each call, then calls are refused at once, and soon all is as before."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest

from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import AdmissionConfig, ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import RecommendRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import Gated, GatedEncoder

HANDLERS = 2


@pytest.fixture
def crowded(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Iterator[Gated]:
    """A server with two handlers that cuts answers down with 2 calls waiting, more with 4, and refuses with 6."""
    encoder = GatedEncoder(shop)
    server = RetrievalServer(
        replace(
            config,
            handlers=HANDLERS,
            admission=AdmissionConfig(degrade_at=1.0, refuse_at=3.0),
            events=replace(config.events, folder=tmp_path),
        )
    )
    server.grpc_server.start()
    server.slot.put(replace(shop, user_encoder=encoder))
    server.health.serving()
    yield Gated(server, encoder)
    encoder.open()
    server.stop(None)
    server.close()


def test_with_more_to_do_less_is_done_and_the_rest_is_refused_at_once(crowded: Gated) -> None:
    with grpc.insecure_channel(crowded.server.address) as channel:
        stub = RetrievalServiceStub(channel)
        request = RecommendRequest(query="milk", k=3)
        ended: SimpleQueue[grpc.Future] = SimpleQueue()
        taken = []
        taken.append(stub.Recommend.future(request, timeout=60))
        crowded.encoder.wait_until_busy()
        taken.append(stub.Recommend.future(request, timeout=60))  # only now, so that it waits for no worker
        while not crowded.batched():
            assert not taken[0].done()
        taken += [stub.Recommend.future(request, timeout=60) for _ in range(6)]
        while crowded.server.handlers.waiting < 6:
            assert not any(call.done() for call in taken)
        for _ in range(20):
            stub.Recommend.future(request, timeout=60).add_done_callback(ended.put)
        refused = [ended.get(timeout=30) for _ in range(20)]
        assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert "admission.refuse_at" not in refused[0].details()
        assert "6 calls or more are waiting for 2 handlers" in refused[0].details()
        with RetrievalClient(crowded.server.address, attempts=1) as client:
            assert client.is_serving(), "health is not refused"
            assert client.status().bundle_version, "nor are operators"
        crowded.encoder.open()
        answers = [call.result() for call in taken]
        reasons = [dict(zip(answer.degraded, answer.degraded_reasons, strict=True)) for answer in answers]
        assert reasons[:HANDLERS] == [{}, {}], "begun when nobody waited"
        assert {"rerank": "overload", "search": "overload"} in reasons, "begun with four or five waiting"
        assert {"rerank": "overload"} in reasons, "begun with two or three waiting"
        assert {} in reasons[HANDLERS:], "the last ones"
        assert not stub.Recommend(request, timeout=60).degraded, "all is as before"


def test_calls_that_are_cancelled_while_they_wait_leave_their_place(crowded: Gated) -> None:
    with grpc.insecure_channel(crowded.server.address) as channel:
        stub = RetrievalServiceStub(channel)
        request = RecommendRequest(query="milk", k=3)
        held = [stub.Recommend.future(request, timeout=60) for _ in range(HANDLERS)]
        while not crowded.batched():
            assert not held[0].done()
        waiting = [stub.Recommend.future(request, timeout=60) for _ in range(4)]
        while crowded.server.handlers.waiting < 4:
            assert not any(call.done() for call in waiting)
        for call in waiting:
            call.cancel()
        crowded.encoder.open()
        assert all(call.result().item_ids for call in held)
        assert not stub.Recommend(request, timeout=60).degraded
        assert crowded.server.handlers.waiting == 0
