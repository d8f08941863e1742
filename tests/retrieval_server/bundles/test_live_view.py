"""A server answers from a bundle and the changes since, as from one bundle."""

import shutil
from pathlib import Path

from index import LiveBundle
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from tests.retrieval_server.shop import ServerFor


def test_new_items_are_recalled_and_reranked_and_those_gone_are_unknown(
    server_for: ServerFor, tiny_bundle: Path, tmp_path: Path
) -> None:
    live = LiveBundle.load(shutil.copytree(tiny_bundle.resolve(), tmp_path / "bundles" / "version"))
    live.upsert([{"item_id": "new", "title": "Iced tea", "text": "iced green tea"}])
    gone = live.bundle.item_ids[3]
    view = live.delete([gone])
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as client:
        answer = client.recall(query="green tea", k=40, with_titles=True)
        assert set(answer.item_ids) == set(view.row_of)
        assert answer.titles[list(answer.item_ids).index("new")] == "Iced tea"
        again = client.rerank(["new", gone, live.bundle.item_ids[0]], history=["new"], query="tea")
        assert set(again.item_ids[:2]) == {"new", live.bundle.item_ids[0]}
        assert list(again.unknown_candidate_ids) == [gone]
        assert "new" not in client.recall(history=["new"], k=40).item_ids
