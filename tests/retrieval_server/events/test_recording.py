"""RecordEvents: the next call that names the user sees it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.events.user_events import StoreUnavailable
from retrieval_server.retrieval.v1.retrieval_pb2 import Event, RecordEventsRequest
from retrieval_server.retrieval.v1.retrieval_pb2_grpc import RetrievalServiceStub
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import MAX_HISTORY, item


def opened(config: ServeConfig, shop: ServedBundle, folder: Path) -> RetrievalServer:
    server = RetrievalServer(replace(config, events=replace(config.events, folder=folder)))
    server.grpc_server.start()
    server.slot.put(shop)
    return server


@pytest.fixture
def recording(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Iterator[RetrievalServer]:
    server = opened(config, shop, tmp_path)
    yield server
    server.stop(None)
    server.close()


@pytest.fixture
def asking(recording: RetrievalServer) -> Iterator[RetrievalClient]:
    with RetrievalClient(recording.address, attempts=1) as client:
        yield client


def test_the_next_call_sees_what_a_stranger_did(asking: RetrievalClient) -> None:
    assert asking.recall(user_id="new", k=5).fallback_reason == "unknown_user"
    answer = asking.record_events(
        [
            {"user_id": "new", "item_id": item(7), "event": "view", "timestamp": 10.0},
            {"user_id": "new", "item_id": item(9), "event": "cart", "timestamp": 20.0},
        ]
    )
    assert (answer.recorded_count, answer.repeated_count) == (2, 0)
    seen = asking.recall(user_id="new", k=5)
    assert seen == asking.recall(history=[item(7), item(9)], k=5)
    assert not seen.fallback_reason


def test_what_was_recorded_follows_the_stored_history(asking: RetrievalClient, shop: ServedBundle) -> None:
    asking.record_events([{"user_id": "ann", "item_id": item(7), "event": "view", "timestamp": 10.0}])
    assert asking.recall(user_id="ann", k=5) == asking.recall(history=[item(3), item(4), item(7)], k=5)
    history, _ = shop.user_encoder.seen[-2]  # type: ignore[attr-defined]
    assert list(history.events) == ["view", "cart", "view"]
    assert history.timestamps.tolist() == [1.0, 2.0, 10.0]


def test_what_happened_before_the_stored_history_ends_is_in_it_already(asking: RetrievalClient) -> None:
    before = asking.recall(user_id="ann", k=5)
    asking.record_events([{"user_id": "ann", "item_id": item(4), "event": "cart", "timestamp": 2.0}])
    assert asking.recall(user_id="ann", k=5) == before


def test_a_history_in_the_request_replaces_what_was_recorded(asking: RetrievalClient) -> None:
    asking.record_events([{"user_id": "new", "item_id": item(7)}])
    assert asking.recall(user_id="new", history=[item(9)], k=5) == asking.recall(history=[item(9)], k=5)


def test_an_item_the_bundle_does_not_have_is_recorded_and_passed_over(asking: RetrievalClient) -> None:
    assert asking.record_events([{"user_id": "new", "item_id": "gone"}]).recorded_count == 1
    assert asking.recall(user_id="new").fallback_reason == "unknown_user"


def test_the_newest_of_many_recorded_events_are_read(asking: RetrievalClient) -> None:
    asking.record_events([{"user_id": "new", "item_id": item(row), "timestamp": row + 1.0} for row in range(20)])
    answer = asking.recall(user_id="new", k=5)
    assert answer.truncated
    assert not {item(row) for row in range(20 - MAX_HISTORY, 20)} & set(answer.item_ids)


def test_an_event_counts_once_however_often_it_is_sent(asking: RetrievalClient) -> None:
    event = {"user_id": "new", "item_id": item(7), "event_id": "one"}
    assert asking.record_events([event]).recorded_count == 1  # type: ignore[list-item]
    answer = asking.record_events([event, event])  # type: ignore[list-item]
    assert (answer.recorded_count, answer.repeated_count) == (0, 2)


def test_a_restart_remembers(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> None:
    first = opened(config, shop, tmp_path / "log")
    with RetrievalClient(first.address) as client:
        client.record_events([{"user_id": "new", "item_id": item(7)}])
    first.stop(None)
    first.close()
    torn = tmp_path / "log" / "20000101T000000.000000000-00000000.jsonl"
    torn.write_text('{"event_id": "half')
    second = opened(config, shop, tmp_path / "log")
    with RetrievalClient(second.address) as client:
        assert client.recall(user_id="new", k=5) == client.recall(history=[item(7)], k=5)
        assert client.status().skipped_event_lines == 1
    second.stop(None)
    second.close()


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (Event(user_id="u", item_id="i"), "events[0].event_id"),
        (Event(event_id="e", item_id="i"), "events[0].user_id"),
        (Event(event_id="e", user_id="u"), "events[0].item_id"),
        (Event(event_id="e" * 513, user_id="u", item_id="i"), "events[0].event_id"),
        (Event(event_id="e", user_id="u", item_id="i", timestamp=1.7e12), "events[0].timestamp"),
        (Event(event_id="e", user_id="u", item_id="i", timestamp=float("nan")), "events[0].timestamp"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused_by_field(asking: RetrievalClient, event: Event, field: str) -> None:
    with pytest.raises(RetrievalError) as refused:
        asking._call(asking._retrieval.RecordEvents, RecordEventsRequest(events=[event]))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.fields.keys() == {field}


@pytest.mark.parametrize("count", [0, 1001])
def test_no_events_and_too_many_are_refused(recording: RetrievalServer, count: int) -> None:
    events = [Event(event_id=str(number), user_id="u", item_id="i") for number in range(count)]
    with grpc.insecure_channel(recording.address) as channel, pytest.raises(grpc.RpcError) as refused:
        RetrievalServiceStub(channel).RecordEvents(RecordEventsRequest(events=events))
    assert "limits.events" in refused.value.details()


def test_a_store_that_cannot_be_reached_is_done_without(
    recording: RetrievalServer, asking: RetrievalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise StoreUnavailable("no route")

    before = asking.recall(user_id="ann", k=5)
    for method in ("recent", "known"):
        monkeypatch.setattr(recording.recorder.store, method, unreachable)
    answer = asking.recommend(user_id="ann", k=5)
    assert (answer.degraded, answer.degraded_reasons) == (["events"], ["unavailable"])
    assert asking.recall(user_id="ann", k=5).item_ids == before.item_ids
    with pytest.raises(RetrievalError, match="send the same events again") as refused:
        asking.record_events([{"user_id": "ann", "item_id": item(7)}])
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_RECORDED")
