"""SimilarItems: by the angle, against the slow way."""

import numpy as np
import pytest

from retrieval_server import RetrievalClient, RetrievalError
from retrieval_server.bundles.served_bundle import ServedBundle
from tests.retrieval_server.shop import ITEMS, item


def cosines(shop: ServedBundle, rows: list[int]) -> np.ndarray:
    unit = shop.vectors / np.linalg.norm(shop.vectors, axis=1, keepdims=True)
    direction = unit[rows].sum(axis=0)
    return unit @ (direction / np.linalg.norm(direction))


@pytest.mark.parametrize("rows", [[3], [3, 9, 27], [5, 5]])
def test_the_most_alike_come_first_with_their_cosines(
    client: RetrievalClient, shop: ServedBundle, rows: list[int]
) -> None:
    answer = client.similar_items([item(row) for row in rows], k=10, with_titles=True)
    expected = cosines(shop, sorted(set(rows)))
    order = [row for row in np.argsort(-expected) if row not in rows][:10]
    assert answer.item_ids == [item(row) for row in order]
    np.testing.assert_allclose(answer.scores, expected[order], atol=1e-6)
    assert answer.titles == shop.titles[order].tolist()
    assert answer.bundle_version == shop.version


def test_excluded_items_and_the_given_ones_do_not_come_back(client: RetrievalClient) -> None:
    answer = client.similar_items([item(3)], exclude=[item(4)], k=ITEMS)
    assert sorted(answer.item_ids) == sorted(item(row) for row in range(ITEMS) if row not in (3, 4))


def test_unknown_items_are_set_aside_and_told(client: RetrievalClient) -> None:
    answer = client.similar_items(["gone", item(3), "gone"], k=5)
    assert answer.item_ids == client.similar_items([item(3)], k=5).item_ids
    assert (answer.unknown_item_ids, answer.unknown_item_count) == (["gone"], 2)
    assert not answer.fallback_reason


def test_nothing_is_like_unknown_items(client: RetrievalClient) -> None:
    answer = client.similar_items(["gone"], k=5)
    assert not answer.item_ids
    assert answer.fallback_reason == "unknown_items"


@pytest.mark.parametrize(
    ("items", "k", "field"), [([], 5, "item_ids"), ([item(1)] * 31, 5, "item_ids"), ([item(1)], 0, "k")]
)
def test_requests_outside_the_limits_are_refused_by_field(
    client: RetrievalClient, items: list[str], k: int, field: str
) -> None:
    with pytest.raises(RetrievalError) as refused:
        client.similar_items(items, k=k)
    assert refused.value.fields.keys() == {field}
