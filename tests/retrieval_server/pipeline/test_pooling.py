"""Channels, fusion and ranker in the server: what a real bundle answers is what the funnel computes from its files."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from index import Bundle, LiveBundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from retrieval_server import RetrievalClient
from retrieval_server.bundles.served_bundle import ServedBundle
from tests.retrieval_server.shop import ServerFor
from towers import History, OneVectorModel
from towers.candidates.candidate_pool import ChannelCandidates
from towers.candidates.channel_selection import load_variants
from towers.candidates.config import FunnelConfig
from towers.candidates.fusion import Logistic, WeightedScores
from towers.candidates.pool_builder import labelled_pools
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.model.scorer import model_scorer
from towers.train_funnel import train_funnel

K = 6
CHANNELS = sorted(
    {path.stem for path in (Path(__file__).parents[3] / "conf" / "channels").glob("*.yaml")} - {"none", "bm25_all"}
)
"""All there are, `bm25_all` being `bm25` over more columns."""


@pytest.fixture(scope="module")
def funnel_bundle(tiny_run: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose funnel has every channel and a ranker, whether they are worth it or not."""
    root = tmp_path_factory.mktemp("funnel")
    run = root / "run"
    shutil.copytree(tiny_run, run)
    overrides = [f"run={run}", f"data={tiny_data}", "threads=1", "users=40", f"channels=[{','.join(CHANNELS)}]"]
    train_funnel(load_config(FunnelConfig, "funnel", overrides))
    whole, _ = load_variants(run / "funnel")
    dataset = Dataset.open(tiny_data)
    ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), ids, Split.VALID, True, [10])
    labelled = labelled_pools(whole, model_scorer("one vector", OneVectorModel.open(run), dataset.items), cases)
    number = len(whole.names)
    deviations = labelled.pools.scores.std(axis=0).astype(float).tolist()
    fusion = WeightedScores([1.0, *[0.7] * (number - 1)], deviations)
    ranker = Logistic(1.0, 50).fit(labelled, whole.names)
    replace(whole, fusion=fusion, ranker=ranker, depth=7, channel_depth=4, candidates=10).save(run / "funnel-forced")
    (run / "funnel-forced" / "run.json").write_bytes((run / "funnel" / "run.json").read_bytes())
    shutil.rmtree(run / "funnel")
    (run / "funnel-forced").rename(run / "funnel")
    overrides = [f"run={run}", f"data={tiny_data}", f"artifacts={root}", "cross_encoder=always"]
    build(load_config(BuildConfig, "build", overrides))
    return root / "bundles" / "current"


@pytest.fixture(scope="module")
def bundle(funnel_bundle: Path) -> Bundle:
    return Bundle.load(funnel_bundle)


@pytest.fixture(scope="module")
def client(server_for: ServerFor, bundle: Bundle) -> Iterator[RetrievalClient]:
    with server_for(ServedBundle.of(bundle)) as server, RetrievalClient(server.address) as client:
        yield client


class Expected:
    """The funnel's answer for somebody, from every item's exact scores."""

    def __init__(self, bundle: Bundle, history: History, open_rows: set[int], depth: int) -> None:
        funnel = bundle.funnel
        assert funnel is not None
        (vector,) = bundle.user_encoder.encode([history], [""])
        scores = np.asarray(bundle.vectors) @ vector
        allowed = np.array(sorted(open_rows - set(history.rows.tolist())))
        found = ChannelCandidates.best(allowed, scores[allowed], depth)
        (pool,) = funnel.pools(
            [history], [""], [found], lambda _, rows: scores[rows], lambda _, rows: np.isin(rows, allowed)
        )
        fused = funnel.fusion.scores(pool)
        self.rows = pool.rows[pool.order(fused)]
        head = pool.kept(pool.ranks(fused) <= max(K, funnel.candidates))
        assert funnel.ranker is not None
        self.blended_scores = funnel.ranker.scores(head)
        self.ranked = head.rows[head.order(self.blended_scores)]
        self.pool = pool


def history_of(*rows: int) -> History:
    return History(np.array(rows), ["view"] * len(rows), np.full(len(rows), np.nan))


def ask(bundle: Bundle, *rows: int) -> dict:
    return {"history": [bundle.item_ids[row] for row in rows], "events": ["view"] * len(rows), "k": K}


def ids(bundle: Bundle, rows: np.ndarray) -> list[str]:
    return [bundle.item_ids[row] for row in rows[:K]]


def test_recall_is_the_fused_order_of_the_pool(client: RetrievalClient, bundle: Bundle):
    answer = client.recall(**ask(bundle, 0, 7, 2))
    expected = Expected(bundle, history_of(0, 7, 2), set(range(len(bundle.item_ids))), 7)
    assert list(answer.item_ids) == ids(bundle, expected.rows)


def test_recommend_is_the_blended_order_of_the_head(client: RetrievalClient, bundle: Bundle):
    answer = client.recommend(**ask(bundle, 0, 7, 2))
    expected = Expected(bundle, history_of(0, 7, 2), set(range(len(bundle.item_ids))), 7)
    assert answer.ranked and not answer.degraded and answer.reranked_count == 0
    assert list(answer.item_ids) == ids(bundle, expected.ranked)
    np.testing.assert_allclose(answer.scores, np.sort(expected.blended_scores)[::-1][:K], rtol=1e-4, atol=1e-4)


def test_filters_and_exclusions_hold_for_every_channel(client: RetrievalClient, bundle: Bundle):
    category = bundle.items["category"].to_numpy()
    tea = set(np.flatnonzero(category == "tea").tolist())
    gone = next(iter(sorted(tea)))
    wanted = {"filter": {"categories": ["tea"]}, "exclude": [bundle.item_ids[gone]]}
    expected = Expected(bundle, history_of(0, 7), tea - {gone}, 7)
    assert list(client.recall(**ask(bundle, 0, 7), **wanted).item_ids) == ids(bundle, expected.rows)
    assert list(client.recommend(**ask(bundle, 0, 7), **wanted).item_ids) == ids(bundle, expected.ranked)


def test_an_explained_answer_has_each_channels_place_and_score(client: RetrievalClient, bundle: Bundle):
    answer = client.recommend(**ask(bundle, 0, 7, 2), explain=True)
    expected = Expected(bundle, history_of(0, 7, 2), set(range(len(bundle.item_ids))), 7)
    assert bundle.funnel is not None
    assert [channel.name for channel in answer.channels] == bundle.funnel.names
    at = np.searchsorted(expected.pool.rows, [bundle.row_of[i] for i in answer.item_ids])
    for number, channel in enumerate(answer.channels):
        assert list(channel.places) == expected.pool.channel_ranks[at, number].tolist()
        np.testing.assert_allclose(channel.scores, expected.pool.scores[at, number], rtol=1e-4, atol=1e-5)
    assert not client.recommend(**ask(bundle, 0)).channels


def test_a_query_is_for_towers_and_cross_encoder(client: RetrievalClient, bundle: Bundle):
    asked = client.recall(**ask(bundle, 0), query="green tea", explain=True)
    (vector,) = bundle.user_encoder.encode([history_of(0)], ["green tea"])
    scores = np.asarray(bundle.vectors) @ vector
    order = [row for row in np.argsort(-scores, kind="stable") if row != 0]
    assert list(asked.item_ids) == ids(bundle, np.array(order))
    assert [(c.name, list(c.places)) for c in asked.channels] == [("towers", list(range(1, K + 1)))]
    recommended = client.recommend(**ask(bundle, 0), query="green tea")
    assert not recommended.ranked and recommended.reranked_count == K


def test_more_items_than_any_channel_offers_come_from_the_towers(client: RetrievalClient, bundle: Bundle):
    answer = client.recall(**{**ask(bundle, 0), "k": 29})
    assert sorted(answer.item_ids) == sorted(set(bundle.item_ids) - {bundle.item_ids[0]})


def test_items_that_come_and_go_while_it_serves(funnel_bundle: Path, server_for: ServerFor, tmp_path: Path):
    shutil.copytree(funnel_bundle.parent, tmp_path / "bundles", symlinks=True)
    live = LiveBundle.load(tmp_path / "bundles" / "current")
    before = live.bundle
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as client:
        first = client.recall(**ask(before, 0, 7)).item_ids[0]
    live.delete([first])
    live.upsert([{"item_id": "new", "title": "iced tea", "text": "iced green tea", "category": "tea", "price": 2.5}])
    with server_for(ServedBundle.of(live)) as server, RetrievalClient(server.address) as client:
        answer = client.recall(**{**ask(before, 0, 7), "k": 28})
        assert "new" in answer.item_ids and first not in answer.item_ids
        ranked = client.recommend(history=["new", before.item_ids[3]], k=K)
        assert ranked.ranked and len(ranked.item_ids) == K and "new" not in ranked.item_ids


def test_a_rebuilt_bundle_moves_the_funnel_to_its_rows(bundle: Bundle):
    funnel = bundle.funnel
    assert funnel is not None
    count = len(bundle.items)
    places = np.append(-1, np.arange(count - 1)[::-1])  # the first item is gone, the others stand the other way round
    items = bundle.items.iloc[np.argsort(places)[1:]].reset_index(drop=True)
    moved = funnel.over(places, items)
    old, new = history_of(4, 9), history_of(*places[[4, 9]])
    for name, channel in funnel.channels.items():
        if name == "bm25":  # fitted anew: how rare words are has changed
            continue
        expected, found = (
            channel.scores([old], [""]).toarray()[0],
            moved.channels[name].scores([new], [""]).toarray()[0],
        )
        np.testing.assert_allclose(found[places[1:]], expected[1:], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(
        moved.item_statistics.item_features(places[1:], new),
        funnel.item_statistics.item_features(np.arange(1, count), old),
        rtol=1e-6,
    )


def test_a_bundle_without_a_funnel_recalls_by_the_index_alone(tiny_bundle: Path):
    assert Bundle.load(tiny_bundle).funnel is None
