"""The quality benchmark's arithmetic: what peers are given, and how all are judged."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.peers.exchange import Answer, Material, padded
from benchmarks.quality.runs import PeerScorer, row_of
from data_prep.columns import Split
from towers.events.history import Sequences
from towers.metrics.cases import Cases
from towers.metrics.evaluation import evaluate


@pytest.fixture
def sequences() -> Sequences:
    """Three users; the last event of each is for validation."""
    rows = np.array([0, 1, 2, 3, 1, 4, 5, 0, 2])
    return Sequences(
        user_ids=np.array(["a", "b", "c"], dtype=object),
        offsets=np.array([0, 4, 6, 9]),
        rows=rows,
        events=np.full(len(rows), "view", dtype=object),
        timestamps=np.full(len(rows), np.nan),
        queries=np.full(len(rows), -1),
        query_texts=[],
        splits=np.array([0, 0, 0, 1, 0, 1, 0, 0, 1]),
    )


@pytest.fixture
def material(sequences: Sequences) -> Material:
    """What a peer would be given of them."""
    return Material(
        offsets=sequences.offsets,
        rows=sequences.rows,
        valid=sequences.splits == Split.VALID,
        num_items=12,
        exclude_seen=True,
        valid_users=np.array([0, 1, 2]),
        valid_truth=np.array([3, 4, 2]),
        valid_bounds=np.array([0, 1, 2, 3]),
        test_users=np.array([0, 2]),
    )


def test_peers_validate_with_the_figure_that_our_evaluation_gives(sequences: Sequences, material: Material) -> None:
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(12, 4)).astype(np.float32)
    known = np.ones(12, bool)
    known[[7, 8]] = False
    cases = Cases.held_out(sequences, [str(i) for i in range(12)], Split.VALID, True, [10])
    outcome = evaluate(PeerScorer("peer", Answer(users, items, known, {}), cases.order), cases, batch_size=2)
    ours = outcome.metrics[:, 1].mean()  # recall, ndcg, mrr, hit rate
    assert 0 < ours < 1
    assert material.ndcg(users, items, known) == pytest.approx(ours)


def test_what_a_peer_never_saw_is_ranked_last(material: Material) -> None:
    users, items = np.ones((3, 1), np.float32), -np.ones((12, 1), np.float32)
    items[[3, 4, 2]] = 5  # the answers, had they been known
    unknown = np.ones(12, bool)
    unknown[[3, 4, 2]] = False
    assert material.ndcg(users, items, np.ones(12, bool)) > 0.6
    assert material.ndcg(users, items, unknown) == 0


def test_material_survives_its_file(material: Material, tmp_path: Path) -> None:
    material.write(tmp_path / "m.npz")
    again = Material.read(tmp_path / "m.npz")
    assert again.num_items == 12 and again.exclude_seen is True
    assert [h.tolist() for h in again.histories(with_valid=False)] == [[0, 1, 2], [1], [5, 0]]
    assert [h.tolist() for h in again.histories(with_valid=True)] == [[0, 1, 2, 3], [1, 4], [5, 0, 2]]


def test_padding_stands_where_each_peer_wants_it() -> None:
    histories = [np.array([4, 5, 6, 7]), np.array([1]), np.array([], np.int64)]
    assert padded(histories, 3, left=True).tolist() == [[6, 7, 8], [0, 0, 2], [0, 0, 0]]
    assert padded(histories, 3, left=False).tolist() == [[6, 7, 8], [2, 0, 0], [0, 0, 0]]


def test_what_is_kept_of_a_scorer_holds_its_cold_items_where_there_are_any() -> None:
    scorer = {"metrics": {"ndcg@10": {"mean": 0.1}}, "beyond": {"coverage": 0.5}, "slices": {"history 0": {}}}
    recall = {"recall@50": {"mean": 0.2, "low": 0.1, "high": 0.3}}
    cold = {"users": 3, "relevant": 4, "scorers": {"two towers": recall}}
    report = {"scorers": {"two towers": scorer}, "against": {}, "cold": cold}
    kept = {"metrics": scorer["metrics"], "beyond": scorer["beyond"]}
    assert row_of(report, "two towers") == kept | {"cold": recall | {"users": 3, "relevant": 4}}
    report["cold"] = None
    assert row_of(report, "two towers") == kept
    above = {"ndcg@10": {"mean": 0.1, "low": 0.0, "high": 0.2}}
    report["against"] = {"baseline": "ease", "scorers": {"two towers": above}}
    assert row_of(report, "two towers") == kept | {"above": above | {"baseline": "ease"}}


def test_what_is_kept_of_a_funnel_is_the_stage_that_is_served() -> None:
    plain, fused = ({"metrics": {"ndcg@10": {"mean": mean}}, "beyond": {}, "slices": {}} for mean in (0.1, 0.2))
    above = {"ndcg@10": {"mean": 0.1, "low": 0.0, "high": 0.2}}
    stages = {"recall": plain, "fused": fused, "diversified": plain}
    against = {"baseline": "recall", "scorers": {"fused": above, "diversified": above}}
    report = {"funnel": {"served": "fused", "stages": stages, "against": against}}
    kept = {"metrics": fused["metrics"], "beyond": {}, "above": above | {"baseline": "recall"}}
    assert row_of(report, "funnel") == kept
    report["funnel"]["served"] = "recall"
    assert row_of(report, "funnel") == {"metrics": plain["metrics"], "beyond": {}}
