"""Recall: the right items, the right scores, and an honest account of what was made of the request."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from tests.retrieval_server.shop import ITEMS, MAX_HISTORY, MeanEncoder, ServerFor, item
from towers import History


def scores_of(shop: ServedBundle, rows: list[int], query: str = "") -> np.ndarray:
    """Every item's score for a history, the slow way."""
    assert isinstance(shop.user_encoder, MeanEncoder)
    vectors = shop.user_encoder.vectors
    vector = vectors[rows].mean(axis=0) if rows else np.eye(vectors.shape[1], dtype=np.float32)[0]
    return vectors @ np.roll(vector, len(query))


def test_items_are_the_best_of_the_catalogue_less_the_history(client: RetrievalClient, shop: ServedBundle) -> None:
    answer = client.recall(history=[item(1), item(2)], k=10)
    scores = scores_of(shop, [1, 2])
    expected = [row for row in np.argsort(-scores) if row not in (1, 2)][:10]
    assert answer.item_ids == [item(row) for row in expected]
    np.testing.assert_allclose(answer.scores, scores[expected], atol=1e-6)


def test_scores_are_single_precision(client: RetrievalClient) -> None:
    scores = np.array(client.recall(history=[item(1)], k=10).scores)
    assert (scores == scores.astype(np.float32)).all()


def test_items_of_the_history_come_back_when_asked_for(client: RetrievalClient) -> None:
    assert item(1) in client.recall(history=[item(1)], k=ITEMS, include_seen=True).item_ids


def test_items_of_the_history_come_back_from_a_bundle_that_does_not_exclude_them(
    server_for: ServerFor, shop: ServedBundle
) -> None:
    with server_for(replace(shop, exclude_seen=False)) as server, RetrievalClient(server.address) as client:
        assert item(1) in client.recall(history=[item(1)], k=ITEMS).item_ids


def test_a_query_alone_is_answered_and_changes_the_answer(client: RetrievalClient, shop: ServedBundle) -> None:
    answer = client.recall(query="milk", k=5)
    assert answer.item_ids == [item(row) for row in np.argsort(-scores_of(shop, [], "milk"))[:5]]


def test_white_space_around_a_query_does_not_count(client: RetrievalClient) -> None:
    assert client.recall(query=" \n milk\t", k=5) == client.recall(query="milk", k=5)


def test_a_known_user_is_answered_from_the_stored_history(client: RetrievalClient) -> None:
    stored = client.recall(user_id="ann", k=5)
    assert stored == client.recall(history=[item(3), item(4)], k=5)
    assert not stored.fallback_reason


def test_a_history_in_the_request_replaces_the_stored_one(client: RetrievalClient) -> None:
    assert client.recall(user_id="ann", history=[item(9)], k=5) == client.recall(history=[item(9)], k=5)


def test_an_unknown_user_gets_the_strangers_answer_and_the_reason(client: RetrievalClient, shop: ServedBundle) -> None:
    answer = client.recall(user_id="nobody", k=5)
    assert answer.item_ids == [item(row) for row in np.argsort(-scores_of(shop, []))[:5]]
    assert answer.fallback_reason == "unknown_user"


def test_an_unknown_user_with_a_query_is_answered_by_the_query(client: RetrievalClient) -> None:
    answer = client.recall(user_id="nobody", query="milk", k=5)
    assert answer.item_ids == client.recall(query="milk", k=5).item_ids
    assert answer.fallback_reason == "unknown_user"


def test_unknown_items_are_skipped_listed_once_each_and_counted(client: RetrievalClient) -> None:
    answer = client.recall(history=["gone", item(1), "lost", "gone", ""], k=5)
    assert answer.item_ids == client.recall(history=[item(1)], k=5).item_ids
    assert answer.unknown_item_ids == ["gone", "lost", ""]
    assert answer.unknown_item_count == 4
    assert not answer.fallback_reason


def test_a_history_of_unknown_items_gets_the_strangers_answer_and_the_reason(client: RetrievalClient) -> None:
    answer = client.recall(history=["gone", "lost"], k=5)
    assert answer.item_ids == client.recall(user_id="nobody", k=5).item_ids
    assert answer.fallback_reason == "unknown_items"


def test_the_newest_known_events_of_a_long_history_are_used(client: RetrievalClient) -> None:
    newest = [item(row) for row in range(20, 20 + MAX_HISTORY)]
    answer = client.recall(history=[item(1), *newest[:2], "gone", *newest[2:]], k=5, include_seen=True)
    assert answer.item_ids == client.recall(history=newest, k=5, include_seen=True).item_ids
    assert answer.truncated


def test_a_history_of_exactly_the_models_length_is_not_truncated(client: RetrievalClient) -> None:
    answer = client.recall(history=["gone", *(item(row) for row in range(MAX_HISTORY))], k=5)
    assert not answer.truncated


def test_items_beyond_the_models_length_are_still_kept_out(client: RetrievalClient) -> None:
    history = [item(row) for row in range(20)]
    assert not set(history) & set(client.recall(history=history, k=ITEMS).item_ids)


def test_ten_thousand_events_are_answered(client: RetrievalClient) -> None:
    answer = client.recall(history=[item(row % ITEMS) for row in range(10_000)], k=5, include_seen=True)
    assert len(answer.item_ids) == 5
    assert answer.truncated


def test_more_than_there_is_gives_what_there_is(client: RetrievalClient) -> None:
    answer = client.recall(history=[item(0), item(1)], k=100)
    assert sorted(answer.item_ids) == sorted(item(row) for row in range(2, ITEMS))


def test_nothing_is_left_of_a_catalogue_seen_whole(client: RetrievalClient) -> None:
    assert not client.recall(history=[item(row) for row in range(ITEMS)], k=5).item_ids


def test_titles_come_when_asked_for(client: RetrievalClient, shop: ServedBundle) -> None:
    answer = client.recall(history=[item(1)], k=3, with_titles=True)
    assert answer.titles == [shop.titles[shop.row_of[item_id]] for item_id in answer.item_ids]
    assert not client.recall(history=[item(1)], k=3).titles


def test_every_answer_names_its_bundle(client: RetrievalClient, shop: ServedBundle) -> None:
    assert client.recall(query="milk").bundle_version == shop.version
    assert client.rerank([item(1)], query="milk").bundle_version == shop.version
    assert client.recommend(query="milk").bundle_version == shop.version


@pytest.fixture
def last_seen(client: RetrievalClient, shop: ServedBundle) -> History:
    """What the encoder is given for a history with a gap."""
    client.recall(history=[item(5), "gone", item(6)], events=["view", "cart", "purchase"], timestamps=[10.5, 11, 12])
    assert isinstance(shop.user_encoder, MeanEncoder)
    history, _ = shop.user_encoder.seen[-1]
    return history


def test_event_types_and_times_stay_with_their_items(last_seen: History) -> None:
    assert last_seen.rows.tolist() == [5, 6]
    assert list(last_seen.events) == ["view", "purchase"]
    assert last_seen.timestamps.tolist() == [10.5, 12]


def test_missing_event_types_and_times_reach_the_model_as_unknown(client: RetrievalClient, shop: ServedBundle) -> None:
    client.recall(history=[item(5)])
    assert isinstance(shop.user_encoder, MeanEncoder)
    history, _ = shop.user_encoder.seen[-1]
    assert list(history.events) == [""]
    assert np.isnan(history.timestamps).all()
