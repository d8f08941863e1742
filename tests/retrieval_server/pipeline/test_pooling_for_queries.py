"""Search as it is served: a query is answered by the funnel for queries, as evaluation says and with all that holds."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.files import read_json
from index import Bundle, LiveBundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import ServeConfig
from tests.retrieval_server.shop import ServerFor
from towers import History, OneVectorModel
from towers.candidates.candidate_pool import ChannelCandidates
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import QUERY_FUNNEL, Funnel
from towers.candidates.fusion import WeightedScores
from towers.candidates.query_funnel import QueryFunnel
from towers.candidates.trained_run import TrainedRun
from towers.evaluation.report import ServedRow
from towers.evaluation.search import SearchEvaluationConfig, evaluate_search
from towers.events.reading import read_sequences
from towers.metrics.judgements import Judgements
from towers.model.run_record import RUN, RunRecord
from towers.model.scorer import model_scorer
from towers.ranking.config import RankerConfig
from towers.train_funnel import train_funnel
from towers.train_ranker import mine

K = 6
QUERIES = ["green tea", "grene tea", "breads", "cat litter", "dog food", "nothing of the sort", "coffee beans"]


@pytest.fixture(scope="module")
def asked_run(tiny_run: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with a funnel for queries, whose words count for much whatever they are worth."""
    run = tmp_path_factory.mktemp("asked") / "run"
    shutil.copytree(tiny_run, run)
    overrides = [f"run={run}", f"data={tiny_data}", "threads=1", "queries.least=4", "channels=none", "certainty=0"]
    assert train_funnel(load_config(FunnelConfig, "funnel", [*overrides, "users=0"])).queries is not None
    folder = run / QUERY_FUNNEL
    trained, marks = Funnel.load(folder), (folder / RUN).read_bytes()
    assert trained.names == ["towers", "bm25"]
    assert isinstance(trained.fusion, WeightedScores) and trained.fusion.weights == [1, 3]  # queries.derived_fusion
    forced = replace(trained, fusion=WeightedScores([1.0, 2.0], [1.0, 1.0]), depth=7, channel_depth=4)
    forced.save(run / "forced")
    shutil.rmtree(folder)
    (run / "forced").rename(folder)
    (folder / RUN).write_bytes(marks)
    return run


@pytest.fixture(scope="module")
def asked_bundle(asked_run: Path, tiny_data: Path) -> Path:
    overrides = [f"run={asked_run}", f"data={tiny_data}", f"artifacts={asked_run.parent}", "cross_encoder=always"]
    build(load_config(BuildConfig, "build", overrides))
    return asked_run.parent / "bundles" / "current"


@pytest.fixture(scope="module")
def bundle(asked_bundle: Path) -> Bundle:
    return Bundle.load(asked_bundle)


@pytest.fixture(scope="module")
def client(server_for: ServerFor, bundle: Bundle) -> Iterator[RetrievalClient]:
    with server_for(ServedBundle.of(bundle)) as server, RetrievalClient(server.address) as client:
        yield client


def expected(
    bundle: Bundle, history: History, query: str, open_rows: set[int], depth: int = 7
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the pool in the served order, and the scores of towers and words, from every item's exact scores."""
    funnel = bundle.query_funnel
    assert funnel is not None
    (vector,) = bundle.user_encoder.encode([history], [query])
    towers = np.asarray(bundle.vectors) @ vector
    words = funnel.channels["bm25"].scores([History.empty()], [query]).toarray()[0]
    offered = np.array(sorted(open_rows - set(history.rows.tolist())))
    pool = set(ChannelCandidates.best(offered, towers[offered], depth).rows.tolist())
    spoken = offered[words[offered] > 0]
    pool |= set(ChannelCandidates.best(spoken, words[spoken], 4).rows.tolist())
    fused = towers + 2 * words
    order = np.array(sorted(pool, key=lambda row: (-fused[row], row)))
    return order, np.stack([towers, words], axis=1)[order]


def ids(bundle: Bundle, rows: np.ndarray) -> list[str]:
    return [bundle.item_ids[row] for row in rows[:K]]


def everything(bundle: Bundle) -> set[int]:
    return set(range(len(bundle.item_ids)))


def history_of(*rows: int) -> History:
    return History(np.array(rows, np.int64), ["view"] * len(rows), np.full(len(rows), np.nan))


def test_the_server_answers_as_evaluation_says_it_does(
    client: RetrievalClient, bundle: Bundle, asked_run: Path, tiny_data: Path
):
    model, dataset = OneVectorModel.open(asked_run), Dataset.open(tiny_data)
    towers = model_scorer("one vector", model, dataset.items)
    served = QueryFunnel.of(asked_run, model.fingerprint, towers)
    assert served is not None and served.name == "served: towers + bm25" and served.source == "synthetic"
    judged = Judgements(QUERIES, [np.array([0])] * len(QUERIES), [np.array([1])] * len(QUERIES))
    training = model.towers.seen(read_sequences(dataset, ""), dataset.items, 1)
    config = SearchEvaluationConfig(baselines={}, typos=False)
    settings = RunRecord.read(asked_run).settings.evaluation
    report, rows = evaluate_search([towers], training, judged, config, settings, 0, served=served)
    assert report.served == ServedRow(served.name, "synthetic")
    told = rows[rows["scorer"] == served.name].set_index("query")["top"]
    for query in QUERIES:
        assert list(client.recall(query=query, k=K).item_ids) == told[query].split()[:K], query


def test_a_cross_encoder_learns_from_the_order_that_is_served_in_the_unit_of_the_towers(
    bundle: Bundle, asked_run: Path, tiny_data: Path
):
    model, dataset = OneVectorModel.open(asked_run), Dataset.open(tiny_data)
    towers, nobody = model_scorer("one vector", model, dataset.items), [History.empty()] * len(QUERIES)
    served = QueryFunnel.of(asked_run, model.fingerprint, towers)
    assert served is not None
    own = towers.score(nobody, QUERIES).numpy()
    for at, scores in enumerate(served.recall(depth=5)(nobody, QUERIES).numpy()):
        rows, said = expected(bundle, History.empty(), QUERIES[at], everything(bundle))
        first, fused = rows[:5], said[:5] @ [1.0, 2.0]
        np.testing.assert_array_equal(np.argsort(-scores, kind="stable")[:5], first)
        standard = (fused - fused.mean()) / fused.std()
        np.testing.assert_allclose(scores[first], standard * own[at, first].std() + own[at, first].mean(), atol=1e-4)
        others = np.setdiff1d(np.arange(len(scores)), first)
        assert scores[others].max() < scores[first].min()
        np.testing.assert_allclose(scores[others], np.minimum(own[at, others], scores[others].max()), atol=1e-6)


def test_strangers_that_a_cross_encoder_learns_from_are_answered_by_the_funnel(
    bundle: Bundle, asked_run: Path, tiny_data: Path
):
    overrides = [f"run={asked_run}", "mining.item_queries=4", "mining.query_rate=0", "mining.depth=5"]
    material = mine(
        load_config(RankerConfig, "train_ranker", overrides), TrainedRun.of(asked_run, Dataset.open(tiny_data))
    )
    assert material.recalled_by == ["towers", "bm25"]
    fused = [expected(bundle, History.empty(), one.context, everything(bundle)) for one in material.learning[-4:]]
    for one, (rows, _) in zip(material.learning[-4:], fused, strict=True):  # users come first
        np.testing.assert_array_equal(one.rows, rows[:5])
    assert any(np.argsort(-scores[:, 0], kind="stable")[:5].tolist() != [0, 1, 2, 3, 4] for _, scores in fused)


def test_a_query_is_answered_in_the_fused_order_and_explained(client: RetrievalClient, bundle: Bundle):
    for query in QUERIES:
        answer = client.recall(query=query, k=K, explain=True)
        rows, scores = expected(bundle, History.empty(), query, everything(bundle))
        assert list(answer.item_ids) == ids(bundle, rows), query
        assert [channel.name for channel in answer.channels] == ["towers", "bm25"]
        for number, channel in enumerate(answer.channels):
            np.testing.assert_allclose(channel.scores, scores[:K, number], rtol=1e-4, atol=1e-5)
        assert all(place == 0 or place <= 4 for place in answer.channels[1].places)


def test_a_misspelt_word_finds_what_the_right_one_does(client: RetrievalClient, bundle: Bundle):
    places = [
        dict(zip(answer.item_ids, answer.channels[1].places, strict=True))
        for answer in (client.recall(query=query, k=K, explain=True) for query in ("grene tea", "green tea"))
    ]
    tea = bundle.item_ids[bundle.titles[np.arange(len(bundle.item_ids))].tolist().index("green tea")]
    assert places[0][tea] == places[1][tea] == 1


def test_what_was_had_before_speaks_through_the_towers_alone(client: RetrievalClient, bundle: Bundle):
    rows, _ = expected(bundle, history_of(0, 7), "green tea", everything(bundle))
    history = [bundle.item_ids[row] for row in (0, 7)]
    answer = client.recall(history=history, events=["view"] * 2, query="green tea", k=K)
    assert list(answer.item_ids) == ids(bundle, rows)
    without = client.recall(history=history, events=["view"] * 2, k=K, explain=True)
    assert [channel.name for channel in without.channels] == ["towers"]


def test_filters_and_exclusions_hold_for_what_words_find(client: RetrievalClient, bundle: Bundle):
    tea = set(np.flatnonzero(bundle.items["category"].to_numpy() == "tea").tolist())
    first = bundle.row_of[client.recall(query="green tea", k=1).item_ids[0]]
    rows, _ = expected(bundle, History.empty(), "green tea", tea - {first})
    wanted = {"filter": {"categories": ["tea"]}, "exclude": [bundle.item_ids[first]]}
    assert list(client.recall(query="green tea", k=K, **wanted).item_ids) == ids(bundle, rows)


def test_the_cross_encoder_orders_anew_what_the_fused_order_offers_and_weighs_its_scores(
    client: RetrievalClient, bundle: Bundle, config: ServeConfig
):
    count = config.rerank.candidates  # so many are reranked, and at least so many asked of the index
    rows, scores = expected(bundle, History.empty(), "green tea", everything(bundle), count)
    rows, scores = rows[:count], scores[:count]
    fused = (scores @ [1.0, 2.0]).astype(np.float32)
    unit = scores[:, 0].std() / fused.std()
    weighed = ((fused - fused.mean()) * unit + scores[:, 0].mean()).astype(np.float32)
    assert bundle.cross_encoder is not None
    context = bundle.cross_encoder.input_template.context([], [], "green tea")
    reranked = bundle.cross_encoder.score(context, list(bundle.texts[rows]), weighed)
    answer = client.recommend(query="green tea", k=K)
    assert answer.reranked_count == K and not answer.ranked and not answer.degraded
    assert list(answer.item_ids) == ids(bundle, rows[np.argsort(-reranked, kind="stable")])
    np.testing.assert_allclose(answer.scores, np.sort(reranked)[::-1][:K], rtol=1e-4, atol=1e-4)


def test_callers_with_and_without_a_query_in_one_batch_get_what_each_gets_alone(
    client: RetrievalClient, bundle: Bundle
):
    asks = [{"query": query, "k": K} for query in QUERIES]
    asks += [{"history": [bundle.item_ids[row]], "k": K} for row in range(7)]
    alone = [list(client.recall(**ask).item_ids) for ask in asks]
    fresh = [{**ask, "exclude": [f"nobody-{number}"]} for number, ask in enumerate(asks)]
    with ThreadPoolExecutor(len(asks)) as pool:
        together = list(pool.map(lambda ask: list(client.recall(**ask).item_ids), fresh))
    assert together == alone


def test_an_item_that_comes_is_found_by_its_words_and_one_that_goes_is_not(
    asked_bundle: Path, server_for: ServerFor, tmp_path: Path
):
    shutil.copytree(asked_bundle.parent, tmp_path / "bundles", symlinks=True)
    live = LiveBundle.load(tmp_path / "bundles" / "current")
    gone = live.bundle.item_ids[live.bundle.titles[np.arange(30)].tolist().index("green tea")]
    changed = live.bundle.item_ids[live.bundle.titles[np.arange(30)].tolist().index("black tea")]
    live.delete([gone])
    live.upsert([{"item_id": "new", "title": "sencha", "text": "sencha", "category": "tea", "price": 2.5}])
    live.upsert([{"item_id": changed, "title": "sencha tin", "text": "sencha tin", "category": "tea", "price": 3.0}])
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as client:
        asked = {"query": "sencha", "k": 29, "explain": True}
        answer = client.recall(**asked)
        places = dict(zip(answer.item_ids, answer.channels[1].places, strict=True))
        assert (places["new"], places[changed]) == (1, 2)  # the shorter text first
        assert sum(place > 0 for place in places.values()) == 2
        cheap = client.recall(**asked, filter={"max_price": 2.6})
        assert "new" in cheap.item_ids and changed not in cheap.item_ids
        excluded = client.recall(**asked, exclude=[changed])
        assert changed not in excluded.item_ids and "new" in excluded.item_ids
        assert gone not in client.recall(query="green tea", k=29).item_ids


def test_a_build_without_funnels_answers_queries_by_the_towers(asked_run: Path, tiny_data: Path, tmp_path: Path):
    overrides = [f"run={asked_run}", f"data={tiny_data}", f"artifacts={tmp_path}", "funnel=false"]
    overrides += ["cross_encoder=never"]
    result = build(load_config(BuildConfig, "build", overrides))
    assert result.funnel == "the towers alone"
    assert Bundle.load(result.path).query_funnel is None


def test_a_build_says_what_answers_queries(bundle: Bundle, asked_bundle: Path):
    assert read_json(asked_bundle / "report.json")["funnel"] == "the towers alone; for a query towers + bm25"
    assert bundle.manifest.fingerprints["query_funnel"]
