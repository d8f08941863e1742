"""UpsertItems and DeleteItems: found or not found by the next call, all or nothing, for good."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings, strategies as st

from data_prep.errors import ExitCode
from index import Bundle, LiveBundle
from index.bundle.bundle import narrowing
from index.bundle.change_log import ChangeLog
from index.search.filters import Attributes
from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.client.__main__ import main
from retrieval_server.client.requests import FilterOptions
from retrieval_server.config import CacheConfig, ServeConfig
from retrieval_server.retrieval.v1.admin_pb2 import Item, UpsertItemsRequest
from retrieval_server.retrieval.v1.admin_pb2_grpc import AdminServiceStub
from retrieval_server.transport.server import RetrievalServer
from tests import processes
from tests.retrieval_server.process.test_serve_process import SERVING, command
from tests.retrieval_server.shop import SECOND, ServerFor

ITEMS = 30
NEW = {"item_id": "new", "title": "Iced tea", "text": "iced green tea", "category": "tea", "price": 2.5}

Serve = Callable[..., RetrievalServer]


@pytest.fixture
def folder(bundle_copies: Path) -> Path:
    return bundle_copies


@pytest.fixture
def serve(config: ServeConfig, folder: Path) -> Iterator[Serve]:
    """Opens servers of the bundles in a folder, as the command does."""
    opened = []

    def serve_one(**changed: object) -> RetrievalServer:
        server = RetrievalServer(replace(config, bundle=folder / "current", **changed))  # type: ignore[arg-type]
        server.grpc_server.start()
        server.serve(server.load(folder / "current"))
        opened.append(server)
        return server

    yield serve_one
    for server in opened:
        server.stop(None)
        server.close()


@pytest.fixture
def client(serve: Serve) -> Iterator[RetrievalClient]:
    with RetrievalClient(serve().address) as opened:
        yield opened


@pytest.fixture
def live(tiny_bundle: Path, tmp_path: Path) -> LiveBundle:
    """A bundle with columns of several kinds."""
    bundle = Bundle.load(tiny_bundle)
    items = bundle.items.assign(in_stock=True, grams=[100] * ITEMS, photo=[[0.5, 1.0]] * ITEMS)
    allowed = narrowing(bundle.index, Attributes(items, bundle.row_of))
    return LiveBundle(replace(bundle, items=items, allowed=allowed), ChangeLog(tmp_path / "changes.log"))


@pytest.fixture
def live_client(live: LiveBundle, server_for: ServerFor) -> Iterator[RetrievalClient]:
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as opened:
        yield opened


def found(client: RetrievalClient) -> dict[str, str]:
    """Every item that can be found, with its title."""
    answer = client.recall(query="tea", k=100, with_titles=True)
    return dict(zip(answer.item_ids, answer.titles, strict=True))


def test_what_is_put_in_is_found_by_the_next_call_and_what_is_taken_out_is_not(
    client: RetrievalClient, folder: Path
) -> None:
    before = found(client)
    version = (folder / "current").resolve().name
    first = next(iter(before))
    put = client.upsert_items([NEW, {"item_id": first, "text": "something else"}])
    assert (put.applied_count, put.bundle_version) == (2, version)
    assert found(client) == before | {"new": "Iced tea", first: "something else"}, "without a title the text is it"
    assert client.status().items == ITEMS + 1
    assert "new" in client.recall(history=[first], k=100, filter={"categories": ["tea"], "max_price": 2.5}).item_ids
    assert first not in client.recall(query="tea", k=100, filter={"max_price": 1e6}).item_ids, (
        "its price is unknown now"
    )
    assert set(client.rerank(["new", first], query="tea").item_ids) == {"new", first}
    assert "new" in client.similar_items([first], k=100).item_ids
    gone = client.delete_items(["new", "never there", first, "new", "never there"])
    assert (gone.applied_count, gone.bundle_version, gone.unknown_item_ids) == (2, version, ["never there"])
    assert found(client).keys() == before.keys() - {first}
    assert client.status().items == ITEMS - 1


def test_what_was_kept_of_answers_is_not_given_for_other_items(serve: Serve) -> None:
    server = serve(cache=CacheConfig(100, 600.0))
    with RetrievalClient(server.address) as client:
        assert "new" not in found(client)
        client.upsert_items([NEW])
        assert "new" in found(client)
        client.delete_items(["new"])
        assert "new" not in found(client)


def test_of_two_with_one_id_the_later_one_counts(client: RetrievalClient) -> None:
    assert client.upsert_items([NEW, NEW | {"title": "Hot tea"}]).applied_count == 1
    assert found(client)["new"] == "Hot tea"


def test_when_one_is_refused_nothing_is_changed_and_the_error_names_item_and_field(
    client: RetrievalClient, folder: Path
) -> None:
    before = found(client)
    wrong = [
        NEW,
        {"item_id": "a", "text": " "},
        {"text": "tea"},
        {"item_id": "b", "text": "tea", "brand": "none has one here"},
        {"item_id": "c", "text": "tea", "price": float("nan")},
        {"item_id": "d", "text": "tea", "colour": "red"},
        {"item_id": "e", "text": "tea", "price": float("inf")},
    ]
    with pytest.raises(
        RetrievalError, match=r"item 'd': unknown columns .*colour.*; the catalogue has item_id"
    ) as error:
        client.upsert_items(wrong)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.fields.keys() == {
        "items[1].text",
        "items[2].item_id",
        "items[3].brand",
        "items[5].columns.colour",
        "items[6].price",
    }
    assert found(client) == before
    assert not (folder / "changes.log").exists()


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
columns = st.dictionaries(
    st.sampled_from(["in_stock", "grams", "photo", "price", "popularity", ""]), values, max_size=3
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.tuples(st.sampled_from(["a", "b", ""]), st.text(max_size=9), st.floats(), columns), max_size=3)
)
def test_any_items_are_put_in_or_refused_by_field(live_client: RetrievalClient, items: list[tuple[Any, ...]]) -> None:
    wanted = [Item(item_id=i, text=t, price=p, columns=_struct(c)) for i, t, p, c in items]
    try:
        AdminServiceStub(live_client._channel).UpsertItems(UpsertItemsRequest(items=wanted), timeout=10)
    except grpc.RpcError as error:
        refused = RetrievalError.of(error)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT and refused.fields, refused
    assert len(found(live_client)) == live_client.status().items


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (lambda client: client.upsert_items([]), {"items"}),
        (lambda client: client.upsert_items([NEW] * 1_001), {"items"}),
        (lambda client: client.upsert_items([NEW, NEW | {"item_id": "x" * 513}]), {"items[1].item_id"}),
        (lambda client: client.delete_items([]), {"item_ids"}),
        (lambda client: client.delete_items(["x"] * 1_001), {"item_ids"}),
        (lambda client: client.delete_items(["x", "y" * 513]), {"item_ids[1]"}),
        (lambda client: client.upsert_items([NEW | {str(n) * 60: "x" * 9_000} for n in range(9)]), None),
    ],
)
def test_a_request_outside_the_limits_is_refused_by_field(
    client: RetrievalClient, call: Callable[[RetrievalClient], object], fields: set[str] | None
) -> None:
    with pytest.raises(RetrievalError) as error:
        call(client)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.reason == "INVALID_REQUEST"
    assert error.value.fields.keys() == (fields or {f"items[{n}].columns.{str(n) * 60}" for n in range(8)})


def test_other_columns_come_and_are_filtered_by(live: LiveBundle, live_client: RetrievalClient) -> None:
    live_client.upsert_items([NEW | {"in_stock": False, "grams": 250, "photo": [1.0, 0.25]}])
    added = live.view.added.iloc[0]
    live_client.upsert_items([{"item_id": "bare", "text": "tea"}])
    assert (added["in_stock"], added["grams"], added["photo"]) == (False, 250, [1.0, 0.25])
    assert list(live_client.recall(query="tea", k=100, filter={"in_stock": False}).item_ids) == ["new"]
    conditions: list[FilterOptions] = [{"in_stock": True}, {"categories": ["tea", ""]}, {"min_price": -1.0}]
    for wanted in conditions:
        assert "bare" not in live_client.recall(query="tea", k=100, filter=wanted).item_ids, "of it nothing is known"
    for column, value in (("in_stock", "yes"), ("grams", True), ("grams", float("inf")), ("photo", {"a": 1})):
        with pytest.raises(RetrievalError, match="item 'new'") as error:
            live_client.upsert_items([NEW | {column: value}])
        assert error.value.fields.keys() == {f"items[0].columns.{column}"}


def test_a_swap_and_a_rollback_have_what_the_other_version_was_given(client: RetrievalClient, folder: Path) -> None:
    before = found(client)
    (gone,) = list(before)[:1]
    client.upsert_items([NEW])
    assert client.swap(SECOND).bundle_version == SECOND
    assert found(client) == before | {"new": "Iced tea"}
    assert client.delete_items([gone]).bundle_version == SECOND
    client.upsert_items([NEW | {"title": "Hot tea"}])
    assert client.rollback().bundle_version == (folder / "current").resolve().name
    assert found(client) == {item_id: title for item_id, title in before.items() if item_id != gone} | {
        "new": "Hot tea"
    }


def test_a_change_between_the_loading_of_another_version_and_its_turn_is_in_it(serve: Serve, folder: Path) -> None:
    server = serve()
    with RetrievalClient(server.address) as client:
        loaded = server.load(folder / SECOND)
        client.upsert_items([NEW])
        server.swap(loaded)
        assert client.status().bundle_version == SECOND
        assert "new" in found(client)


def test_servers_of_one_folder_see_each_others_changes(serve: Serve) -> None:
    one, other = serve(), serve(catch_up_seconds=0.01)
    with RetrievalClient(one.address) as first, RetrievalClient(other.address) as second:
        first.upsert_items([NEW])
        while "new" not in found(second):
            assert second.status().refused_changes == 0
        second.delete_items(["new"])
        one.items.catch_up()
        assert "new" not in found(first)
        first.upsert_items([NEW])
        assert second.delete_items(["new"]).unknown_item_ids == [], "what others put in can be taken out at once"


def test_a_change_that_cannot_be_written_down_is_refused_and_none(serve: Serve, folder: Path) -> None:
    with RetrievalClient(serve().address, attempts=1) as client:
        (folder / "changes.log").mkdir()
        for call in (lambda: client.upsert_items([NEW]), lambda: client.delete_items(["co-0"])):
            with pytest.raises(RetrievalError, match=r"nothing was changed: .*changes\.log") as error:
                call()
            assert (error.value.code, error.value.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_CHANGED")
        assert client.status().items == ITEMS
        (folder / "changes.log").rmdir()
        assert client.upsert_items([NEW]).applied_count == 1


def test_a_server_without_live_items_or_without_any_says_so(
    server_for: ServerFor, shop: ServedBundle, server_not_ready: RetrievalServer
) -> None:
    with (
        RetrievalClient(server_not_ready.address, attempts=1) as client,
        pytest.raises(RetrievalError, match="loading"),
    ):
        client.upsert_items([NEW])
    with (
        server_for(shop) as server,
        RetrievalClient(server.address, attempts=1) as client,
        pytest.raises(RetrievalError, match="not loaded with its log"),
    ):
        client.delete_items(["co-0"])


def test_the_command_line_puts_in_and_takes_out(
    client: RetrievalClient, serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = serve().address
    file = tmp_path / "items.jsonl"
    file.write_text(json.dumps(NEW) + "\n" + json.dumps(NEW | {"item_id": "newer", "title": None}) + "\n")
    assert main(["upsert", str(file), "--json", "--address", address]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["applied_count"] == 2
    assert main(["delete", "--items", "new,missing", "--address", address]) == ExitCode.OK
    assert "missing" in capsys.readouterr().out
    file.write_text(json.dumps({"item_id": "a"}))
    assert main(["upsert", str(file), "--address", address]) == ExitCode.USAGE
    assert "items[0].text" in capsys.readouterr().err
    file.write_text(json.dumps(NEW) + "\n" + json.dumps(NEW | {"price": "dear"}))
    assert main(["upsert", str(file), "--address", address]) == ExitCode.USAGE
    assert "items[1].price: 'dear' cannot be sent" in capsys.readouterr().err
    for text, said in (("{", "line 1 is not JSON"), ("7", "line 1 is not a JSON object")):
        file.write_text(text)
        with pytest.raises(SystemExit):
            main(["upsert", str(file), "--address", address])
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["upsert", str(tmp_path / "none"), "--address", address])
    assert "cannot be read" in capsys.readouterr().err


def test_a_kill_loses_no_change_that_was_acknowledged(folder: Path, tmp_path: Path) -> None:
    for life in range(2):
        arguments = command(f"bundle={folder / 'current'}", "port=0", f"events.folder={tmp_path}")
        with processes.started(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            banner = SERVING.match(process.stdout.readline())
            assert banner, process.stderr.read()
            with RetrievalClient(banner[5]) as client:
                if life == 0:
                    client.upsert_items([NEW])
                    client.delete_items(["co-0"])
                    process.send_signal(signal.SIGKILL)
                else:
                    assert banner[2] == str(ITEMS)
                    assert "new" in found(client) and "co-0" not in found(client)
