"""The funnel evaluated stage by stage."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers import CrossEncoder
from towers.candidates.channel_selection import load_variants
from towers.candidates.funnel import FUNNEL
from towers.candidates.funnel_record import FunnelResult
from towers.candidates.pool_builder import labelled_pools
from towers.diversity import Diversity, Pool, diversify
from towers.evaluate import CASES, EvaluateConfig, evaluate_run
from towers.evaluation.funnel import CrossEncoderStage
from towers.evaluation.funnel_diversity import ItemLooks, diversified
from towers.evaluation.stage import Stage
from towers.metrics.cases import Cases
from towers.metrics.evaluation import evaluate
from towers.ranking.record import CrossEncoderRecord


def test_the_recall_stage_is_what_the_vector_scores_in_the_whole_catalogue(
    tiny_funnel: FunnelResult, tiny_cases: Cases, tiny_scorer
):
    whole, _ = load_variants(tiny_funnel.folder)
    alone = labelled_pools(whole, tiny_scorer, tiny_cases).only([0])
    stage = Stage.by("recall", alone, alone.pools.scores[:, 0]).outcome(tiny_cases)
    names = ("recall@5", "ndcg@5", "mrr@5", "hit_rate@5")
    np.testing.assert_allclose(
        stage.metrics[:, : len(names)], evaluate(tiny_scorer, tiny_cases, 64).metrics[:, : len(names)]
    )


def test_evaluation_reports_every_stage_channel_and_user(tiny_funnel: FunnelResult, tiny_data: Path):
    run = tiny_funnel.folder.parent
    overrides = [f"run={run}", f"data={tiny_data}", "threads=1", "baselines=none", "evaluation.bootstrap_samples=20"]
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", overrides)).funnel
    assert report is not None
    assert next(iter(report.stages)) == "recall"
    assert "cross-encoder" in report.stages
    assert set(report.ablation) >= {"towers + bm25", "all channels", "all but item_knn"}
    assert all(0 <= row.not_retrieved <= 1 for row in report.ablation.values())
    lines = pd.read_csv(run / CASES, dtype=str)
    assert len(lines) == report.users
    for _, row in lines.iterrows():
        relevant, ranks = row["relevant"].split(), row["recall_ranks"].split()
        assert len(relevant) == len(ranks)
        assert len(row["top"].split()) == len(row["channels"].split()) <= 10
    hits = [any(item in row["relevant"].split() for item in row["top"].split()) for _, row in lines.iterrows()]
    better = CrossEncoderRecord.read(run / "cross_encoder").result.better  # else it is not published
    answering = [name for name in report.stages if name != "diversified" and (better or name != "cross-encoder")]
    assert set(lines["stage"]) == {report.served} == {answering[-1]}
    served = report.stages[report.served]
    assert np.mean(hits) == pytest.approx(served.metrics["hit_rate@10"].mean)
    assert list(report.diversified.against.scorers) == ["diversified"] == list(report.stages)[-1:]
    distances = [stage.beyond.item_distance for stage in (served, report.stages["diversified"])]
    assert 0 <= distances[0] <= distances[1] <= 2
    assert report.stages["diversified"].slices.keys() == served.slices.keys()


@pytest.mark.parametrize("part", [FUNNEL, "cross_encoder"])
def test_a_funnel_or_cross_encoder_of_other_towers_is_refused(
    part: str, tiny_funnel: FunnelResult, tiny_data: Path, tmp_path: Path
):
    run = tmp_path / "run"
    shutil.copytree(tiny_funnel.folder.parent, run)
    record = read_json(run / part / "run.json")
    write_json(run / part / "run.json", record | {"towers_fingerprint": "another"})
    with pytest.raises(UsageError, match="trained for towers another"):
        evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={tiny_data}", "baselines=none"]))


def test_a_diversified_stage_is_what_a_server_chooses_and_the_others_follow(
    tiny_funnel: FunnelResult, tiny_cases: Cases, tiny_scorer, tiny_data: Path
):
    whole, _ = load_variants(tiny_funnel.folder)
    alone = labelled_pools(whole, tiny_scorer, tiny_cases).only([0])
    plain, items = Stage.by("recall", alone, alone.pools.scores[:, 0]), Dataset.open(tiny_data).items
    looks, settings = ItemLooks.of(items, tiny_scorer.items.numpy()), Diversity("mmr", 0.9, 1, False, 0.95)
    found, pools = diversified(plain, 3, settings, looks), alone.pools
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
        chosen = diversify(pool, 3, settings).places.tolist()
        expected = [*chosen, *(place for place in range(len(order)) if place not in chosen)]
        assert own[np.argsort(found.ranks[own])].tolist() == order[expected].tolist()
        assert sorted(found.ranks[own]) == list(range(1, len(own) + 1))
        changed += chosen != [0, 1, 2]
    assert changed


def test_a_cross_encoder_of_weight_0_is_not_asked_and_changes_nothing(
    tiny_funnel: FunnelResult, tiny_cases: Cases, tiny_scorer
):
    whole, _ = load_variants(tiny_funnel.folder)
    alone = labelled_pools(whole, tiny_scorer, tiny_cases).only([0])
    plain = Stage.by("recall", alone, alone.pools.scores[:, 0])
    model = CrossEncoder.load(tiny_funnel.folder.parent / "cross_encoder")
    model.scale_text_scores(0)
    assert not model.adds_to_recall
    without_texts = CrossEncoderStage(model, [], [], 5, better=False)
    _, ranks = without_texts.order(alone.pools, plain)
    assert ranks.tolist() == plain.ranks.tolist()
