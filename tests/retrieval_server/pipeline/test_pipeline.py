"""The server's answer for a history is what the towers compute for it."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index import Bundle
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.client.tour import tour
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallResponse, RecommendResponse, RerankResponse
from tests.retrieval_server.shop import ServerFor
from towers import History

K = 10


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.load(tiny_bundle)


@pytest.fixture(scope="module")
def real_client(server_for: ServerFor, bundle: Bundle) -> Iterator[RetrievalClient]:
    with server_for(ServedBundle.of(bundle)) as server, RetrievalClient(server.address) as client:
        yield client


def expected_ranking(bundle: Bundle, history: History, query: str = "") -> tuple[list[str], list[float]]:
    """Every item's inner product with the user's vector, sorted, without the index."""
    (vector,) = bundle.user_encoder.encode([history], [query])
    scores = np.asarray(bundle.vectors) @ vector
    seen = set(history.rows.tolist()) if bundle.manifest.exclude_seen else set()
    order = [row for row in np.argsort(-scores, kind="stable") if row not in seen][:K]
    return [bundle.item_ids[row] for row in order], scores[order].tolist()


def assert_same(answer: RecallResponse | RerankResponse, expected: tuple[list[str], list[float]]) -> None:
    item_ids, scores = expected
    assert list(answer.item_ids) == item_ids
    np.testing.assert_allclose(answer.scores, scores, atol=1e-4)


def test_a_history_with_types_and_times(real_client: RetrievalClient, bundle: Bundle) -> None:
    history = History(np.array([0, 2, 1]), ["purchase"] * 3, np.array([1.6e9, 1.6e9 + 50, 1.6e9 + 9000]))
    answer = real_client.recall(
        history=[bundle.item_ids[row] for row in history.rows],
        events=history.events,
        timestamps=history.timestamps,
        k=K,
    )
    assert_same(answer, expected_ranking(bundle, history))


def test_a_bare_history(real_client: RetrievalClient, bundle: Bundle) -> None:
    history = History(np.array([3, 1]), ["", ""], np.full(2, np.nan))
    answer = real_client.recall(history=[bundle.item_ids[3], bundle.item_ids[1]], k=K)
    assert_same(answer, expected_ranking(bundle, history))


def test_a_query(real_client: RetrievalClient, bundle: Bundle) -> None:
    answer = real_client.recall(query=str(bundle.items["title"].iloc[0]), k=K)
    assert_same(answer, expected_ranking(bundle, History.empty(), str(bundle.items["title"].iloc[0])))


def test_a_history_and_a_query(real_client: RetrievalClient, bundle: Bundle) -> None:
    history = History(np.array([3, 1]), ["", ""], np.full(2, np.nan))
    answer = real_client.recall(history=[bundle.item_ids[3], bundle.item_ids[1]], query="something sweet", k=K)
    assert_same(answer, expected_ranking(bundle, history, "something sweet"))


def test_a_stored_user(real_client: RetrievalClient, bundle: Bundle, tiny_bundle: Path) -> None:
    user_id = bundle.histories.user_ids[0]
    history = bundle.history(user_id)
    assert history is not None
    answer = real_client.recall(user_id=user_id, k=K)
    assert_same(answer, expected_ranking(bundle, history))
    assert not answer.fallback_reason


@pytest.mark.parametrize(
    "query", ["\x00", "\x01\x02\x1b", "🥛" * 1000, "חלב ולחם", "\u202emilk", "a " * 2048, "\u200b", "milk\nbread"]
)
def test_strange_queries_reach_the_real_model_and_come_back_finite(real_client: RetrievalClient, query: str) -> None:
    answer = real_client.recall(query=query, k=K)
    assert len(answer.item_ids) == K
    assert np.isfinite(answer.scores).all()


def test_the_cross_encoder_reads_the_newest_titles_the_texts_and_the_towers_scores(
    real_client: RetrievalClient, bundle: Bundle
) -> None:
    assert bundle.cross_encoder is not None
    history = History(np.array([3, 1, 2]), [""] * 3, np.full(3, np.nan))
    candidates = np.array([5, 6, 7, 8])
    (vector,) = bundle.user_encoder.encode([history], ["sweet"])
    titles = [bundle.items["title"].iloc[row] for row in history.rows]
    context = bundle.cross_encoder.input_template.context(titles, history.events, "sweet")
    texts = [bundle.items["text"].iloc[row] for row in candidates]
    scores = bundle.cross_encoder.score(context, texts, bundle.vectors[candidates] @ vector)
    answer = real_client.rerank(
        [bundle.item_ids[row] for row in candidates],
        history=[bundle.item_ids[row] for row in history.rows],
        query="sweet",
    )
    assert_same(
        answer, ([bundle.item_ids[row] for row in candidates[np.argsort(-scores)]], (-np.sort(-scores)).tolist())
    )


def test_callers_at_the_same_time_get_what_each_would_get_alone(real_client: RetrievalClient, bundle: Bundle) -> None:
    """Tokenizers and models are shared by the workers."""

    def ask(number: int) -> RecommendResponse:
        history, query = [bundle.item_ids[number % 20]], "sweet " * (number % 7)
        answer = real_client.recommend(history=history, query=query, k=5, budget_ms=60_000)
        assert not answer.degraded, answer.degraded_reasons
        return answer

    alone = [ask(number) for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, range(60)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        assert one.item_ids == other.item_ids


def test_the_tour_goes_on_where_a_bundle_has_no_cross_encoder(
    server_for: ServerFor, bundle: Bundle, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = shutil.copytree(tiny_bundle, tmp_path / "plain", ignore=shutil.ignore_patterns("cross_encoder"))
    without = replace(ServedBundle.of(bundle), cross_encoder=None)
    with server_for(without) as server, RetrievalClient(server.address) as client:
        tour(client, plain, users=1, seed=0)
    shown = capsys.readouterr().out
    assert "Recommend" in shown
    assert "Rerank" not in shown
