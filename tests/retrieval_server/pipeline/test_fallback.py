"""Those of whom nothing is known: who they are, what answers them, and that the answer says so."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest

from index import Bundle, LiveBundle
from index.bundle.change_log import ChangeLog
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import CacheConfig, ServeConfig
from retrieval_server.transport.server import RetrievalServer
from tests.retrieval_server.shop import ITEMS, ServerFor, attributes, item
from towers import History
from towers.candidates.fallback import Fallback

LIST = [17, 4, 30, 5, 22]
SCORES = [0.5, 0.4, 0.4, 0.2, 0.1]
EVERYTHING = [*LIST, *(row for row in range(ITEMS) if row not in LIST)]
"""The whole catalogue: the list, then the others as they stand in it."""


def in_order(rows: list[int]) -> list[str]:
    return [item(row) for row in rows]


def somebody(**known: str) -> History:
    return History(np.zeros(0, np.int64), (), np.zeros(0), known)


@pytest.fixture(scope="module")
def trending() -> Fallback:
    return Fallback("trending", np.array(LIST), np.array(SCORES, np.float32))


@pytest.fixture(scope="module")
def bundle(shop: ServedBundle, trending: Fallback) -> ServedBundle:
    """The small shop with a fallback; it knows three users: one's history, one's age, nothing of the third."""
    users = {"ann": shop.history("ann"), "eve": somebody(age="65+"), "bob": somebody(age="")}
    return replace(shop, fallback=trending, history=users.get)


@pytest.fixture(scope="module")
def asking(server_for: ServerFor, bundle: ServedBundle) -> Iterator[RetrievalClient]:
    with server_for(bundle) as server, RetrievalClient(server.address) as client:
        yield client


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"user_id": "nobody"}, "unknown_user"),
        ({"history": ["gone", "lost"]}, "unknown_items"),
        ({"user_id": "ann", "history": ["gone"]}, "unknown_items"),
        ({"user_id": "bob"}, "no_history"),
    ],
)
def test_of_whom_nothing_is_known_the_list_answers_by_its_name(asking: RetrievalClient, who: dict, reason: str) -> None:
    for answer in (asking.recall(**who, k=7), asking.recommend(**who, k=7)):
        assert list(answer.item_ids) == in_order(EVERYTHING[:7])
        np.testing.assert_allclose(answer.scores, [*SCORES, 0, 0])
        assert (answer.fallback, answer.fallback_reason) == ("trending", reason)
        assert not answer.degraded


def test_whoever_is_known_by_anything_is_answered_by_the_towers(
    asking: RetrievalClient, client: RetrievalClient
) -> None:
    known = [{"user_id": "ann"}, {"history": [item(1)]}, {"query": "milk"}, {"user_id": "nobody", "query": "milk"}]
    for who in known:
        answer = asking.recall(**who, k=5)
        assert answer == client.recall(**who, k=5)
        assert not answer.fallback
    by_age = asking.recall(user_id="eve", k=5)
    assert (by_age.fallback, by_age.fallback_reason) == ("", "no_history")
    assert by_age.item_ids == client.recall(user_id="nobody", k=5).item_ids, "the small shop's towers read no age"


def test_without_a_list_the_towers_answer_strangers_and_are_named(client: RetrievalClient) -> None:
    for answer in (client.recall(user_id="nobody", k=5), client.recommend(user_id="nobody", k=5)):
        assert (answer.fallback, answer.fallback_reason) == ("towers", "unknown_user")


def test_filters_and_exclusions_hold(asking: RetrievalClient, bundle: ServedBundle) -> None:
    in_stock = set(np.flatnonzero(attributes()["in_stock"]).tolist())
    wanted = {"filter": {"in_stock": True}, "exclude": [item(4), item(22)]}
    allowed = [row for row in EVERYTHING if row in in_stock - {4, 22}]
    for k in (2, 5, ITEMS):
        assert list(asking.recall(user_id="nobody", k=k, **wanted).item_ids) == in_order(allowed[:k])
    assert list(asking.recommend(user_id="nobody", k=9, **wanted).item_ids) == in_order(allowed[:9])
    assert not asking.recall(user_id="nobody", k=3, filter={"brands": ["nobody's"]}).item_ids


def test_the_cross_encoder_has_nothing_to_read(asking: RetrievalClient) -> None:
    answer = asking.recommend(user_id="nobody", k=4, with_timings=True)
    assert answer.reranked_count == 0 and list(answer.recall_scores) == list(answer.scores)
    assert [timing.stage for timing in answer.timings] == ["resolve", "search"]


def test_a_list_can_be_made_diverse(asking: RetrievalClient) -> None:
    answer = asking.recommend(user_id="nobody", k=4, diversity={"max_per_category": 1, "strength": 0.0})
    seen: set[object] = set()
    expected = []
    for row in EVERYTHING:
        if row % 7 == 6 or row % 7 not in seen:  # items of the small shop whose row leaves 6 have no category
            expected.append(row)
            seen.add(row % 7)
    assert list(answer.item_ids) == in_order(expected[:4])
    assert answer.diversified.max_per_category == 1 and answer.fallback == "trending"


def test_an_explained_answer_names_the_list_for_a_channel(asking: RetrievalClient) -> None:
    answer = asking.recall(user_id="nobody", k=3, explain=True)
    assert [(one.name, list(one.places)) for one in answer.channels] == [("trending", [1, 2, 3])]


def test_answers_by_the_list_are_counted_and_kept(config: ServeConfig, bundle: ServedBundle) -> None:
    server = RetrievalServer(replace(config, cache=CacheConfig(entries=10, seconds=600.0)))
    server.grpc_server.start()
    server.serve(bundle)
    with RetrievalClient(server.address) as client:
        answers = [client.recall(user_id=name, k=3) for name in ("nobody", "somebody", "bob", "nobody")]
    told = generate_latest(server.observer.registry).decode()
    server.stop(None)
    server.close()
    assert len({tuple(answer.item_ids) for answer in answers}) == 1
    assert 'retrieval_fallbacks_total{fallback="trending",reason="unknown_user"} 3.0' in told
    assert 'retrieval_fallbacks_total{fallback="trending",reason="no_history"} 1.0' in told
    assert 'retrieval_cache_lookups_total{outcome="hit"} 2.0' in told


def test_items_that_change_keep_their_place_and_those_taken_out_have_none(
    tiny_bundle: Path, server_for: ServerFor, tmp_path: Path
) -> None:
    whole = Bundle.load(tiny_bundle)
    ids = [str(item_id) for item_id in whole.item_ids]
    fallback = Fallback("popularity", np.array([8, 3, 11, 20]), np.array([9, 7, 7, 1], np.float32))
    live = LiveBundle(replace(whole, fallback=fallback), ChangeLog(tmp_path / "changes.log"))
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as client:
        client.upsert_items([{"item_id": ids[3], "text": "another tea"}, {"item_id": "new", "text": "iced tea"}])
        client.delete_items([ids[8]])
        rest = [ids[row] for row in range(len(ids)) if row not in (3, 8, 11, 20)]
        expected = [ids[3], ids[11], ids[20], *rest, "new"]
        assert list(client.recall(user_id="nobody", k=100).item_ids) == expected
        assert list(client.recall(user_id="nobody", k=2, exclude=[ids[3]]).item_ids) == [ids[11], ids[20]]
        teas = [name for name in expected if name in ids and whole.items["category"][ids.index(name)] == "tea"]
        teas = [name for name in teas if name != ids[3]]  # what it is now has no category
        assert list(client.recall(user_id="nobody", k=100, filter={"categories": ["tea"]}).item_ids) == teas
