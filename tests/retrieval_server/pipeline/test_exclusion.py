"""Items that a request keeps out."""

import pytest

from retrieval_server import RetrievalClient, RetrievalError
from tests.retrieval_server.shop import ITEMS, item


@pytest.mark.parametrize("call", ["recall", "recommend"])
def test_excluded_items_do_not_come_back_and_the_next_best_do(client: RetrievalClient, call: str) -> None:
    ask = getattr(client, call)
    whole = ask(history=[item(1)], k=10)
    answer = ask(history=[item(1)], k=10, exclude=[*whole.item_ids[:3], "gone"])
    assert not set(whole.item_ids[:3]) & set(answer.item_ids)
    assert len(answer.item_ids) == 10
    assert not answer.unknown_item_ids, "only the history's are told"


def test_exclusion_adds_to_the_history_and_holds_where_the_history_may_come_back(client: RetrievalClient) -> None:
    both = client.recall(history=[item(1)], exclude=[item(2)], k=ITEMS).item_ids
    assert sorted(both) == sorted(item(row) for row in range(ITEMS) if row not in (1, 2))
    seen = client.recall(history=[item(1), item(2)], exclude=[item(2)], include_seen=True, k=ITEMS).item_ids
    assert item(1) in seen
    assert item(2) not in seen


def test_more_exclusions_than_the_limit_are_refused(client: RetrievalClient) -> None:
    with pytest.raises(RetrievalError) as refused:
        client.recall(query="milk", exclude=[item(1)] * 1001)
    assert refused.value.fields == {"exclude_ids": "has 1001 items; send at most 1000 (limits.exclude)"}
