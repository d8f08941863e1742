"""Answers that are not all alike, through real gRPC over the small shop."""

from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from retrieval_server.pipeline.pipeline import LOWEST_SCORE
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import ITEMS, ServerFor, attributes, item

WHO: Any = {"history": [item(1)], "k": 8}
CATEGORY = dict(zip(attributes()["item_id"], attributes()["category"], strict=True))


def rows(item_ids: Any) -> list[int]:
    return [int(item_id.split("-")[1]) for item_id in item_ids]


def likeness(shop: ServedBundle, item_ids: Any) -> float:
    """Mean cosine of all pairs."""
    vectors = [shop.vectors[np.array([row])][0] for row in rows(item_ids)]
    return float(np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(vectors, 2)]))


@pytest.mark.parametrize("call", ["recall", "recommend"])
@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_a_diverse_answer_holds_items_less_alike_in_the_order_of_their_scores(
    client: RetrievalClient, shop: ServedBundle, call: str, method: str
):
    plain = getattr(client, call)(**WHO)
    diverse = getattr(client, call)(**WHO, diversity={"method": method, "strength": 0.95})
    assert len(diverse.item_ids) == len(plain.item_ids) == 8
    assert likeness(shop, diverse.item_ids) < likeness(shop, plain.item_ids)
    assert list(diverse.scores) == sorted(diverse.scores, reverse=True)
    assert diverse.diversified.method == method
    assert diverse.diversified.strength == 0.95
    assert not plain.HasField("diversified")


def test_an_answer_of_no_strength_is_the_plain_one(client: RetrievalClient):
    assert client.recall(**WHO, diversity={"strength": 0.0}).item_ids == client.recall(**WHO).item_ids
    found = client.recommend(**WHO, candidates=30, diversity={"strength": 0.0})
    assert found.item_ids == client.recommend(**WHO, candidates=30).item_ids


def test_what_is_left_out_is_as_the_server_has_it(client: RetrievalClient, config: ServeConfig):
    told = client.recall(**WHO, diversity={}).diversified
    assert told.method == config.diversity.method
    assert told.strength == config.diversity.strength[config.diversity.method]
    assert client.recall(**WHO, diversity={"method": "dpp"}).diversified.strength == config.diversity.strength["dpp"]


def test_it_is_chosen_from_three_items_for_each_wanted_or_more(client: RetrievalClient):
    asked: Any = {"history": [item(1)], "diversity": {}}
    assert client.recall(**asked, k=8).diversified.pool == 24
    assert client.recall(**asked, k=2).diversified.pool == 10  # rerank.candidates
    assert client.recommend(**asked, k=8, candidates=28).diversified.pool == 28
    assert client.recommend(**asked, k=20).diversified.pool == 30  # limits.candidates: what the cross-encoder may get


def test_a_quota_bounds_each_category(client: RetrievalClient):
    found = client.recall(**WHO, diversity={"max_per_category": 1, "strength": 0.0})
    counts = Counter(CATEGORY[item_id] for item_id in found.item_ids if isinstance(CATEGORY[item_id], str))
    assert max(counts.values()) == 1
    assert found.diversified.over_quota == 0
    assert found.diversified.max_per_category == 1


def test_as_many_items_come_as_without_a_quota_and_the_answer_says_how(client: RetrievalClient):
    one: Any = {"history": [item(1)], "k": 5, "filter": {"categories": ["c3"]}}
    found = client.recall(**one, diversity={"max_per_category": 2})
    assert len(found.item_ids) == len(client.recall(**one).item_ids) == 5
    assert found.diversified.over_quota == 3


def test_of_items_all_but_the_same_one_comes(server_for: ServerFor, shop: ServedBundle):
    titles = np.array([f"Title {row // 4}" for row in range(ITEMS)], object)
    with server_for(replace(shop, titles=titles)) as server, RetrievalClient(server.address) as client:
        found = client.recall(**WHO, with_titles=True, diversity={"strength": 0.0, "collapse_duplicates": True})
        plain = client.recall(**WHO, with_titles=True)
    assert len(set(found.titles)) > len(set(plain.titles))
    assert found.diversified.duplicates > 0


def test_items_that_were_not_reranked_stay_behind(client: RetrievalClient):
    found = client.recommend(**WHO, budget_ms=1, diversity={"strength": 1.0})
    assert len(found.item_ids) == 8
    scored = [score for score in found.scores if score > LOWEST_SCORE]
    assert found.reranked_count in (0, len(scored))


def test_a_server_may_make_every_recommendation_diverse_and_no_recall(config: ServeConfig, shop: ServedBundle):
    server = RetrievalServer(replace(config, diversify=True))
    server.grpc_server.start()
    server.serve(shop)
    with RetrievalClient(server.address) as client:
        assert client.recommend(**WHO).diversified.method == "mmr"
        assert not client.recall(**WHO).HasField("diversified")
    server.stop(None)
    server.close()


@pytest.mark.parametrize(
    ("wish", "field", "says"),
    [
        ({"method": "best"}, "diversity.method", "mmr, dpp"),
        ({"strength": 1.5}, "diversity.strength", "0 to 1"),
        ({"strength": float("nan")}, "diversity.strength", "0 to 1"),
        ({"max_per_category": -1}, "diversity.max_per_category", "0 for any number"),
    ],
)
@pytest.mark.parametrize("call", ["recall", "recommend"])
def test_a_senseless_wish_is_refused_by_its_field(client: RetrievalClient, call: str, wish: Any, field: str, says: str):
    with pytest.raises(RetrievalError) as refused:
        getattr(client, call)(**WHO, diversity=wish)
    assert says in refused.value.fields[field]


def test_a_diverse_recall_is_bounded(client: RetrievalClient, config: ServeConfig):
    beyond = config.limits.candidates + 1
    assert len(client.recall(history=[item(1)], k=beyond).item_ids) == beyond
    with pytest.raises(RetrievalError) as refused:
        client.recall(history=[item(1)], k=beyond, diversity={})
    assert "limits.candidates" in refused.value.fields["k"]


def test_a_quota_of_what_the_items_lack_is_refused(server_for: ServerFor, shop: ServedBundle):
    with server_for(replace(shop, categories=None)) as server, RetrievalClient(server.address) as client:
        assert len(client.recall(**WHO, diversity={}).item_ids) == 8
        with pytest.raises(RetrievalError) as refused:
            client.recall(**WHO, diversity={"max_per_category": 2})
    assert "no column category" in refused.value.fields["diversity.max_per_category"]


def test_its_time_is_told(client: RetrievalClient):
    found = client.recall(**WHO, diversity={}, with_timings=True)
    assert [timing.stage for timing in found.timings][-1] == "diversify"
