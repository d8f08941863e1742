"""Filters in requests: what comes back is what a plain loop over the items leaves, in the same order."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.errors import ExitCode
from index import Bundle
from index.search.filters import Attributes
from retrieval_server import AsyncRetrievalClient, RetrievalClient, RetrievalError
from retrieval_server.api.limits import Limits
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.client.__main__ import main
from retrieval_server.client.requests import FilterOptions
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallResponse
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import ITEMS, Gated, ServerFor, attributes, item

FILTERS: list[FilterOptions] = [
    {"categories": ["c1", "c2", "unknown"]},
    {"brands": ["b0"]},
    {"min_price": 3.0},
    {"max_price": 0.0},
    {"min_price": 2.0, "max_price": 2.0},
    {"in_stock": True},
    {"in_stock": False},
    {"allow": [item(row) for row in range(0, ITEMS, 2)] + ["unknown"]},
    {"deny": [item(row) for row in range(30)]},
    {"categories": ["c1", "c3"], "brands": ["b0", "b1", "b2"], "max_price": 8.0, "in_stock": True, "deny": [item(1)]},
    {"categories": ["unknown"]},
    {},
]


def satisfies(row: int, wanted: FilterOptions) -> bool:
    """One item, condition by condition."""
    shown = attributes().iloc[row]
    low, high = wanted.get("min_price"), wanted.get("max_price")
    return (
        ("categories" not in wanted or shown.category in wanted["categories"])
        and ("brands" not in wanted or shown.brand in wanted["brands"])
        and (low is None or shown.price >= low)
        and (high is None or shown.price <= high)
        and ("in_stock" not in wanted or shown.in_stock == wanted["in_stock"])
        and ("allow" not in wanted or item(row) in wanted["allow"])
        and ("deny" not in wanted or item(row) not in wanted["deny"])
    )


def left(item_ids: list[str], wanted: FilterOptions) -> list[str]:
    """Of items in order, those that satisfy a filter."""
    return [item_id for item_id in item_ids if satisfies(int(item_id.removeprefix("item-")), wanted)]


@pytest.mark.parametrize("wanted", FILTERS)
def test_recall_gives_the_best_of_those_that_satisfy_it(client: RetrievalClient, wanted: FilterOptions) -> None:
    everything = list(client.recall(history=[item(1), item(2)], query="milk", k=ITEMS).item_ids)
    for k in (3, ITEMS):
        answer = client.recall(history=[item(1), item(2)], query="milk", k=k, filter=wanted)
        assert list(answer.item_ids) == left(everything, wanted)[:k]
        assert not answer.degraded and not answer.fallback_reason and len(answer.scores) == len(answer.item_ids)


@pytest.mark.parametrize("wanted", FILTERS)
def test_similar_items_and_recommend_take_it_too(client: RetrievalClient, wanted: FilterOptions) -> None:
    alike = list(client.similar_items([item(5)], k=ITEMS).item_ids)
    assert list(client.similar_items([item(5)], k=4, filter=wanted).item_ids) == left(alike, wanted)[:4]
    recalled = set(client.recall(query="milk", k=10, filter=wanted).item_ids)
    assert set(client.recommend(query="milk", k=10, candidates=10, filter=wanted).item_ids) == recalled


def test_each_request_of_a_stream_has_its_own(client: RetrievalClient) -> None:
    requests = [{"query": "milk", "k": 5, "filter": wanted} for wanted in FILTERS]
    assert list(client.recommend_many(requests)) == [client.recommend(**request) for request in requests]  # type: ignore[arg-type]


def test_the_async_client_takes_it(server: RetrievalServer, client: RetrievalClient) -> None:
    async def ask() -> list[RecallResponse]:
        async with AsyncRetrievalClient(server.address) as other:
            return await asyncio.gather(*(other.recall(query="milk", filter=wanted) for wanted in FILTERS))

    assert asyncio.run(ask()) == [client.recall(query="milk", filter=wanted) for wanted in FILTERS]


def test_exclusions_and_the_history_count_beside_it(client: RetrievalClient) -> None:
    wanted: FilterOptions = {"allow": [item(1), item(2), item(3)]}
    assert list(client.recall(history=[item(1)], exclude=[item(2)], k=5, filter=wanted).item_ids) == [item(3)]


def test_requests_with_different_filters_share_a_batch_and_keep_their_own(
    gated: Gated, client: RetrievalClient
) -> None:
    with RetrievalClient(gated.server.address) as crowd, ThreadPoolExecutor(4) as pool:
        # The first is computed alone, behind the gate; the three that come meanwhile make up one batch.
        wants: list[FilterOptions] = [{}, {"brands": ["b1"]}, {"categories": ["c2"]}, {"brands": ["b1"]}]
        calls = [pool.submit(crowd.recall, history=[item(7)], k=5, filter=wanted) for wanted in wants]
        gated.encoder.wait_until_busy()
        while gated.server.handlers.waiting or gated.batched() < 3:
            assert not any(call.done() for call in calls)
        gated.encoder.open()
        answers = [call.result(30) for call in calls]
    assert sorted(gated.encoder.batches) == [1, 3]
    assert answers == [client.recall(history=[item(7)], k=5, filter=wanted) for wanted in wants]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"min_price": 3.0, "max_price": 2.0}, "filter.min_price"),
        ({"min_price": float("nan")}, "filter.min_price"),
        ({"max_price": float("inf")}, "filter.max_price"),
        ({"categories": ["x"] * 101}, "filter.categories"),
        ({"brands": ["x"] * 101}, "filter.brands"),
        ({"allow": ["x"] * 10_001}, "filter.allow_ids"),
        ({"deny": ["x"] * 10_001}, "filter.deny_ids"),
        ({"deny": ["x", "y" * 513]}, "filter.deny_ids[1]"),
    ],
)
def test_a_senseless_one_is_refused_by_field(
    client: RetrievalClient, limits: Limits, wanted: FilterOptions, field: str
) -> None:
    assert (limits.filter_values, limits.filter_ids, limits.id_bytes) == (100, 10_000, 512)
    for call in (
        lambda: client.recall(query="milk", filter=wanted),
        lambda: client.recommend(query="milk", filter=wanted),
        lambda: client.similar_items([item(1)], filter=wanted),
    ):
        with pytest.raises(RetrievalError) as refused:
            call()
        assert refused.value.fields.keys() == {field}


def test_what_the_items_have_no_column_of_is_refused_by_field(server_for: ServerFor, shop: ServedBundle) -> None:
    bare = pd.DataFrame({"item_id": [item(row) for row in range(ITEMS)], "in_stock": "yes"})
    bundle = replace(shop, allowed=Attributes(bare, shop.row_of).rows)
    with server_for(bundle) as server, RetrievalClient(server.address) as client:
        for wanted, field, cure in (
            ({"categories": ["a"]}, "categories", "no column category"),
            ({"brands": ["a"]}, "brands", "no column brand"),
            ({"max_price": 1.0}, "max_price", "no column price"),
            ({"min_price": 0.5, "max_price": 1.0}, "min_price", "no column price"),
            ({"in_stock": True}, "in_stock", "true and false"),
        ):
            for call in (
                lambda: client.recall(query="milk", filter=wanted),  # type: ignore[arg-type]  # noqa: B023
                lambda: client.similar_items([item(1)], filter=wanted),  # type: ignore[arg-type]  # noqa: B023
            ):
                with pytest.raises(RetrievalError, match=cure) as refused:
                    call()
                assert refused.value.fields.keys() == {f"filter.{field}"}
        assert client.recall(query="milk", filter={"deny": [item(1)]}).item_ids, "ids need no column"


def test_a_real_bundle_narrows_by_its_own_table(server_for: ServerFor, tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    category = bundle.items["category"].iloc[0]
    price = float(np.median(bundle.items["price"]))
    wanted: FilterOptions = {"categories": [category], "max_price": price}
    with server_for(ServedBundle.of(bundle)) as server, RetrievalClient(server.address) as client:
        everything = client.recall(query="tea", k=len(bundle.items)).item_ids
        fitting = bundle.items[(bundle.items["category"] == category) & (bundle.items["price"] <= price)]
        expected = [item_id for item_id in everything if item_id in set(fitting["item_id"])]
        assert expected
        assert list(client.recall(query="tea", k=len(bundle.items), filter=wanted).item_ids) == expected
        with pytest.raises(RetrievalError, match="no column in_stock"):
            client.recall(query="tea", filter={"in_stock": True})


def test_the_command_line_takes_every_condition(
    server: RetrievalServer, client: RetrievalClient, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--category", "c1,c2", "--brand", "b0,b1", "--min-price", "1", "--max-price", "9", "--no-in-stock"]
    options += ["--allow", ",".join(item(row) for row in range(39)), "--deny", item(2)]
    wanted: FilterOptions = {
        "categories": ["c1", "c2"],
        "brands": ["b0", "b1"],
        "min_price": 1.0,
        "max_price": 9.0,
        "in_stock": False,
        "allow": [item(row) for row in range(39)],
        "deny": [item(2)],
    }
    for call, expected in (
        (["recall", "--query", "milk"], client.recall(query="milk", filter=wanted)),
        (["recommend", "--query", "milk"], client.recommend(query="milk", filter=wanted)),
        (["similar", "--items", item(2)], client.similar_items([item(2)], filter=wanted)),
    ):
        assert main([*call, *options, "--json", "--address", server.address]) == ExitCode.OK
        assert json.loads(capsys.readouterr().out)["item_ids"] == list(expected.item_ids)
        assert expected.item_ids
