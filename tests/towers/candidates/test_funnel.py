"""The funnel: trained by the command, against brute force, evaluated stage by stage, and after the disk."""

import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from towers import CrossEncoder
from towers.candidates.channel_selection import load_variants
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import FUNNEL, Funnel
from towers.candidates.pool_builder import labelled_pools
from towers.candidates.stage import Stage
from towers.candidates.train_queries import QueryFunnel
from towers.candidates.train_users import FunnelResult
from towers.diversity import Diversity, Pool, diversify
from towers.evaluate import CASES, EvaluateConfig, evaluate_run
from towers.evaluation.funnel import CrossEncoderReading, diversified
from towers.evaluation.funnel_diversity import Looks
from towers.events.reading import read_sequences
from towers.metrics.evaluation import Cases, evaluate
from towers.model.one_vector import OneVectorModel
from towers.model.scorer import VectorScorer, model_scorer
from towers.train_funnel import train_funnel

OVERRIDES = [
    "threads=1",
    "bootstrap_samples=50",
    "depth=8",
    "channel_depth=5",
    "candidates=9",
    "certainty=0",
    "folds=2",
    "queries.least=8",
]


@pytest.fixture(scope="module")
def trained(tiny_run: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FunnelResult:
    """A funnel beside the towers of the tiny shop, in a copy of the run."""
    run = tmp_path_factory.mktemp("funnel") / "run"
    shutil.copytree(tiny_run, run)
    result = train_funnel(load_config(FunnelConfig, "funnel", [f"run={run}", f"data={tiny_data}", *OVERRIDES]))
    assert result.users is not None
    return result.users


@pytest.fixture(scope="module")
def cases(trained: FunnelResult, tiny_data: Path) -> Cases:
    """Users of the test split."""
    dataset = Dataset.open(tiny_data)
    ids = [str(i) for i in dataset.items["item_id"]]
    return Cases.held_out(read_sequences(dataset, ""), ids, Split.TEST, True, [5, 10])


@pytest.fixture(scope="module")
def scorer(trained: FunnelResult, tiny_data: Path):
    return model_scorer("one vector", OneVectorModel.open(trained.folder.parent), Dataset.open(tiny_data).items)


def test_a_pool_is_what_the_channels_find_by_brute_force(trained: FunnelResult, cases: Cases, scorer):
    whole, _ = load_variants(trained.folder)
    labelled = labelled_pools(whole, scorer, cases)
    for case in range(len(cases)):
        history, seen = cases.history(case).last(scorer.max_history), set(cases.seen(case).tolist())
        scores = [scorer.score([history], [""])[0].numpy()]
        scores += [channel.scores([history], [""]).toarray()[0] for channel in whole.channels.values()]
        expected: dict[int, list[int]] = {}
        for channel, own in enumerate(scores):
            open_rows = [row for row in range(len(own)) if row not in seen and (channel == 0 or own[row] > 0)]
            best = sorted(open_rows, key=lambda row: (-own[row], row))[: 8 if channel == 0 else 5]
            for place, row in enumerate(best, 1):
                expected.setdefault(row, [0] * len(scores))[channel] = place
        part = slice(labelled.pools.offsets[case], labelled.pools.offsets[case + 1])
        assert labelled.pools.rows[part].tolist() == sorted(expected)
        assert labelled.pools.places[part].tolist() == [expected[row] for row in sorted(expected)]
        np.testing.assert_allclose(
            labelled.pools.scores[part], np.stack(scores, axis=1)[labelled.pools.rows[part]], rtol=1e-4, atol=1e-5
        )
        assert labelled.missed[case] == len(set(cases.truth[case].tolist()) - set(expected))


def test_the_recall_stage_is_what_the_vector_scores_in_the_whole_catalogue(trained: FunnelResult, cases: Cases, scorer):
    whole, _ = load_variants(trained.folder)
    alone = labelled_pools(whole, scorer, cases).only([0])
    stage = Stage.by("recall", alone, alone.pools.scores[:, 0]).outcome(cases)
    names = ("recall@5", "ndcg@5", "mrr@5", "hit_rate@5")
    np.testing.assert_allclose(stage.metrics[:, : len(names)], evaluate(scorer, cases, 64).metrics[:, : len(names)])


def test_a_funnel_orders_alike_after_the_disk(trained: FunnelResult, cases: Cases, scorer):
    first, second = Funnel.load(trained.folder), Funnel.load(trained.folder)
    one, two = labelled_pools(first, scorer, cases), labelled_pools(second, scorer, cases)
    np.testing.assert_array_equal(first.fusion.scores(one.pools), second.fusion.scores(two.pools))
    assert first.names == ["towers", *trained.kept]
    assert (first.ranker is not None) == trained.ranked.sure(0)


def test_evaluation_tells_of_every_stage_channel_and_user(trained: FunnelResult, tiny_data: Path):
    run = trained.folder.parent
    overrides = [f"run={run}", f"data={tiny_data}", "threads=1", "baselines=none", "evaluation.bootstrap_samples=20"]
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", overrides))["funnel"]
    assert next(iter(report["stages"])) == "recall"
    assert "reranked" in report["stages"]
    assert set(report["ablation"]) >= {"towers + bm25", "all channels", "all but item_knn"}
    assert all(0 <= one["missed"] <= 1 for one in report["ablation"].values())
    told = pd.read_csv(run / CASES, dtype=str)
    assert len(told) == report["users"]
    for _, row in told.iterrows():
        relevant, ranks = row["relevant"].split(), row["recall_ranks"].split()
        assert len(relevant) == len(ranks)
        assert len(row["top"].split()) == len(row["channels"].split()) <= 10
    hits = [any(item in row["relevant"].split() for item in row["top"].split()) for _, row in told.iterrows()]
    better = json.loads((run / "cross_encoder" / "run.json").read_text())["result"][
        "better"
    ]  # else it is not published
    answering = [name for name in report["stages"] if name != "diversified" and (better or name != "reranked")]
    assert set(told["stage"]) == {report["served"]} == {answering[-1]}
    served = report["stages"][report["served"]]
    assert np.mean(hits) == pytest.approx(served["metrics"]["hit_rate@10"]["mean"])
    assert list(report["diversified"]["against"]["scorers"]) == ["diversified"] == list(report["stages"])[-1:]
    assert 0 <= served["beyond"]["item_distance"] <= report["stages"]["diversified"]["beyond"]["item_distance"] <= 2
    assert report["stages"]["diversified"]["slices"].keys() == served["slices"].keys()


def test_a_funnel_of_other_towers_is_refused(trained: FunnelResult, tiny_data: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(trained.folder.parent, run)
    told = json.loads((run / FUNNEL / "run.json").read_text())
    (run / FUNNEL / "run.json").write_text(json.dumps(told | {"towers_fingerprint": "another"}))
    with pytest.raises(UsageError, match="other towers"):
        evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={tiny_data}", "baselines=none"]))


def test_where_there_are_too_few_users_there_is_a_funnel_for_queries_alone(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    overrides = [f"run={run}", f"data={tiny_data}", *OVERRIDES, "users=0"]
    result = train_funnel(load_config(FunnelConfig, "funnel", overrides))
    assert result.users is None and "0 users" in result.left_out["users"]
    assert result.queries is not None and result.queries.source == "derived"
    with pytest.raises(GateFailed, match=r"0 users.*queries\.least=1000 "):
        train_funnel(load_config(FunnelConfig, "funnel", [*overrides, "queries.least=1000"]))


def test_where_users_want_nothing_that_is_found_there_is_a_funnel_for_queries_alone(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    narrow = ["users=5", "depth=1", "channel_depth=1", "candidates=1", "fusion=logistic"]
    result = train_funnel(load_config(FunnelConfig, "funnel", [f"run={run}", f"data={tiny_data}", *OVERRIDES, *narrow]))
    assert result.users is None and "nothing to learn from" in result.left_out["users"]
    assert result.queries is not None


def test_a_funnel_for_queries_of_other_towers_is_refused(tiny_run: Path, tiny_data: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    train_funnel(load_config(FunnelConfig, "funnel", [f"run={run}", f"data={tiny_data}", *OVERRIDES]))
    with pytest.raises(UsageError, match="other towers"):
        QueryFunnel.of(run, "another", cast(VectorScorer, None))


def test_a_diversified_stage_is_what_a_server_chooses_and_the_others_follow(
    trained: FunnelResult, cases: Cases, scorer, tiny_data: Path
):
    whole, _ = load_variants(trained.folder)
    alone = labelled_pools(whole, scorer, cases).only([0])
    plain, items = Stage.by("recall", alone, alone.pools.scores[:, 0]), Dataset.open(tiny_data).items
    looks, how = Looks.of(items, scorer.items.numpy()), Diversity("mmr", 0.9, 1, False, 0.95)
    found, pools = diversified(plain, 3, how, looks), alone.pools
    changed = 0
    for user in range(len(pools)):
        own = np.arange(pools.offsets[user], pools.offsets[user + 1])
        order = own[np.argsort(plain.ranks[own])]
        rows = pools.rows[order]
        pool = Pool(
            pools.scores[order, 0],
            looks.vectors[rows],
            items["category"][rows].tolist(),
            items["title"][rows].tolist(),
            len(rows),
        )
        chosen = diversify(pool, 3, how).places.tolist()
        expected = [*chosen, *(place for place in range(len(order)) if place not in chosen)]
        assert own[np.argsort(found.ranks[own])].tolist() == order[expected].tolist()
        assert sorted(found.ranks[own]) == list(range(1, len(own) + 1))
        changed += chosen != [0, 1, 2]
    assert changed


def test_a_reranker_that_counts_nothing_is_not_asked_and_changes_nothing(trained: FunnelResult, cases: Cases, scorer):
    whole, _ = load_variants(trained.folder)
    alone = labelled_pools(whole, scorer, cases).only([0])
    plain = Stage.by("recall", alone, alone.pools.scores[:, 0])
    model = CrossEncoder.load(trained.folder.parent / "cross_encoder")
    model.temper(0)
    assert not model.reads
    _, ranks = CrossEncoderReading(model, [], [], 5, better=False).read(
        alone.pools, plain
    )  # with nothing that it could read
    assert ranks.tolist() == plain.ranks.tolist()
