"""What a server tells of itself: metrics under their documented names, a board that asks for these, discreet logs."""

import json
import logging
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from data_prep.command import GateFailed
from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import CacheConfig, MetricsConfig, ServeConfig
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest
from retrieval_server.runtime.escaping import JsonLine
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import item

DOCS = Path(__file__).parents[3] / "docs"
SAMPLE = re.compile(r"^(retrieval_\w+?)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture
def observed(config: ServeConfig, shop: ServedBundle, tmp_path: Path) -> Iterator[RetrievalServer]:
    server = RetrievalServer(
        replace(
            config,
            metrics=MetricsConfig("127.0.0.1", 0),
            log_calls=True,
            cache=CacheConfig(100, 60.0),
            events=replace(config.events, folder=tmp_path),
        )
    )
    server.grpc_server.start()
    server.serve(shop)
    yield server
    server.stop(None)
    server.close()


@pytest.fixture
def asking(observed: RetrievalServer) -> Iterator[RetrievalClient]:
    with RetrievalClient(observed.address, attempts=1) as client:
        yield client


def samples(server: RetrievalServer) -> dict[str, float]:
    """Every sample of the endpoint, `name{labels}` -> value."""
    assert server.metrics is not None
    with urllib.request.urlopen(f"http://{server.metrics.address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in SAMPLE.findall(text)}


def use_everything(client: RetrievalClient) -> None:
    client.recall(history=[item(1), "gone"], k=3)
    client.recall(user_id="nobody", k=3)
    client.recommend(query="milk", k=3)
    client.similar_items([item(1)], k=3)
    list(client.recommend_many([{"query": "milk"}]))
    client.record_events([{"user_id": "u", "item_id": item(1), "event_id": "e"}] * 2)
    with pytest.raises(RetrievalError):
        client.recall(query="milk", k=0)
    with pytest.raises(RetrievalError):
        client.swap("not-there")


def test_calls_are_counted_by_what_became_of_them(
    observed: RetrievalServer, asking: RetrievalClient, shop: ServedBundle
) -> None:
    use_everything(asking)
    found = samples(observed)
    expected = {
        'retrieval_calls_total{code="OK",method="Recall"}': 2,
        'retrieval_calls_total{code="INVALID_ARGUMENT",method="Recall"}': 1,
        'retrieval_calls_total{code="FAILED_PRECONDITION",method="Swap"}': 1,
        'retrieval_calls_total{code="OK",method="RecommendStream"}': 1,
        'retrieval_call_seconds_count{method="Recall"}': 3,
        'retrieval_stage_seconds_count{stage="rerank"}': 2,
        'retrieval_fallbacks_total{fallback="towers",reason="unknown_user"}': 1,
        "retrieval_unknown_items_total": 1,
        'retrieval_events_total{outcome="new"}': 1,
        'retrieval_events_total{outcome="repeated"}': 1,
        'retrieval_swaps_total{outcome="refused"}': 1,
        f'retrieval_bundle_info{{version="{shop.version}"}}': 1,
        'retrieval_cache_lookups_total{outcome="miss"}': 3,
        'retrieval_cache_lookups_total{outcome="hit"}': 1,
        "retrieval_batch_calls_count": 3,
        "retrieval_items": len(shop.item_ids),
        "retrieval_waiting_calls": 0,
        "retrieval_ready": 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_a_degraded_answer_is_counted(observed: RetrievalServer, asking: RetrievalClient, shop: ServedBundle) -> None:
    observed.slot.put(replace(shop, cross_encoder=None))
    asking.recommend(query="milk", k=3)
    assert samples(observed)['retrieval_degraded_total{reason="no_reranker",stage="rerank"}'] == 1


def test_a_stopping_server_is_not_ready(observed: RetrievalServer) -> None:
    observed.say_stopping()
    assert samples(observed)["retrieval_ready"] == 0


def metric_names(server: RetrievalServer) -> set[str]:
    """Names as queries use them, the ones that do without samples so far included."""
    names = {sample.partition("{")[0] for sample in samples(server)}
    return {name for name in names if not name.endswith("_created")}


def test_the_board_asks_for_metrics_that_there_are(observed: RetrievalServer, asking: RetrievalClient) -> None:
    use_everything(asking)
    observed.slot.put(replace(observed.slot.take(), cross_encoder=None))
    asking.recommend(query="milk")
    board = json.loads((DOCS / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in board["templating"]["list"]]
    asked = {name for query in queries for name in re.findall(r"retrieval_\w+", query)}
    assert asked
    assert asked <= metric_names(observed)


def test_every_metric_is_documented_and_every_documented_one_is_there(
    observed: RetrievalServer, asking: RetrievalClient
) -> None:
    use_everything(asking)
    documented = set(re.findall(r"^\| `(retrieval_\w+)", (DOCS / "deploy.md").read_text(), re.MULTILINE))
    kept = {family.name for family in observed.observer.registry.collect()}
    assert {name.removesuffix("_total").removesuffix("_info") for name in documented} == kept


def test_an_address_for_metrics_that_is_in_use_is_refused(config: ServeConfig, observed: RetrievalServer) -> None:
    assert observed.metrics is not None
    port = int(observed.metrics.address.rsplit(":", 1)[1])
    with pytest.raises(GateFailed, match=rf"Address already in use: 127\.0\.0\.1:{port}; set another metrics\.port"):
        RetrievalServer(replace(config, metrics=MetricsConfig("127.0.0.1", port)))


def call_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "retrieval_server.calls"]


def test_a_call_is_logged_with_its_id_and_nothing_of_the_user(
    observed: RetrievalServer, asking: RetrievalClient, shop: ServedBundle, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with grpc.insecure_channel(observed.address) as channel:
        call = channel.unary_unary("/retrieval.v1.RetrievalService/Recall")
        message = RecallRequest(query="my secret wish", user_id="ann@example.com", k=3).SerializeToString()
        call(message, metadata=[("x-request-id", "page-17.2")], timeout=10)
        call(message, metadata=[("x-request-id", "forged id=1")], timeout=10)
    asking.record_events([{"user_id": "ann@example.com", "item_id": "private-item"}])
    named, unnamed, _ = call_records(caplog)
    told = json.loads(JsonLine().format(named))
    assert told["request_id"] == "page-17.2"
    assert (told["method"], told["code"], told["bundle_version"]) == ("Recall", "OK", shop.version)
    assert told["milliseconds"] > 0
    assert re.fullmatch("[0-9a-f]{32}", json.loads(JsonLine().format(unnamed))["request_id"])
    everything = "".join(JsonLine().format(record) for record in caplog.records)
    for private in ("secret wish", "ann@example.com", "private-item", "forged"):
        assert private not in everything


def test_a_json_line_is_one_line_and_holds_an_error_whole() -> None:
    try:
        raise RuntimeError("two\nlines")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("name", logging.ERROR, "", 0, "error_id=%s", ("x",), info)
    line = JsonLine().format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "name", "error_id=x")
    assert "two\nlines" in told["exception"]
    assert told["time"].endswith("+00:00")


def test_methods_that_callers_make_up_are_counted_as_one(observed: RetrievalServer) -> None:
    observed.say_stopping()
    observed.turn_away()
    with grpc.insecure_channel(observed.address) as channel:
        for number in range(3):
            call = channel.unary_unary(f"/retrieval.v1.RetrievalService/Made{number}")
            with pytest.raises(grpc.RpcError):
                call(b"", timeout=30)
    counted = {name: value for name, value in samples(observed).items() if name.startswith("retrieval_calls_total")}
    assert counted == {'retrieval_calls_total{code="UNAVAILABLE",method="other"}': 3}
