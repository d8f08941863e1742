"""The quality benchmark's arithmetic and its page; what it trains is not run here."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.page import BEGIN, END, write_page
from benchmarks.quality.peers.exchange import Answer, Material, padded
from benchmarks.quality.plan import jobs, read_plan
from benchmarks.quality.results import Result, find, keep
from benchmarks.quality.runs import VectorScorer
from data_prep.columns import Split
from data_prep.errors import UsageError
from towers.evaluation import Cases, evaluate
from towers.history import Sequences


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
    outcome = evaluate(VectorScorer("peer", Answer(users, items, known, {})), cases, batch_size=2)
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


def test_only_picks_datasets_and_rows() -> None:
    plan = read_plan()
    everything = jobs(plan, [0, 1], [])
    assert [job.first for job in everything] == [True] * (len(everything) // 2) + [False] * (len(everything) // 2)
    assert {job.key for job in jobs(plan, [0], ["beauty:implicit-als"])} == {"beauty:implicit-als"}
    assert {job.dataset for job in jobs(plan, [0], [":implicit-als"])} == set(plan.datasets)
    with pytest.raises(UsageError, match="nothing"):
        jobs(plan, [0], ["beauty:nothing"])


def result(name: str, seed: int, ndcg: float, untrained: list[str], rows: list[str]) -> Result:
    """A made-up result."""
    interval = {"mean": ndcg, "low": ndcg - 0.01, "high": ndcg + 0.02}
    metrics = dict.fromkeys(("hit_rate@10", "ndcg@10", "recall@50"), interval)
    return Result(
        dataset="beauty",
        name=name,
        seed=seed,
        fingerprint=f"f{seed}",
        rows={row: {"metrics": metrics, "beyond": {"coverage": 0.5}} for row in rows},
        untrained=untrained,
        seconds=100.0 + seed,
        peak_mb=1000.0 + seed,
        threads=2,
        jobs=1,
        commands=[f"python train {name}"],
        notes={"epochs": 7 + seed},
        commit="abc",
        versions={"torch": "2"},
        finished="2026-01-01T00:00:00+00:00",
    )


def test_the_page_says_what_the_results_say_and_keeps_what_is_around(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nalso mine\n", encoding="utf-8")
    results = [
        result("ours", 0, 0.20, ["popularity"], ["towers", "popularity"]),
        result("ours", 1, 0.40, [], ["towers"]),
        result("implicit-als", 0, 0.10, [], ["iALS"]),
    ]
    write_page(results, read_plan(), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Mine") and text.endswith("also mine\n") and "old" not in text
    cell = "0.3000 ± 0.0150"
    assert f"| **towers** | {cell} | {cell} | {cell} | 0.1414 | 0.500 | 100 | 1,001 | 2 |" in text
    assert "| popularity | 0.2000 ± 0.0150 |" in text
    assert (tmp_path / "images" / "quality.png").stat().st_size > 10_000
    write_page(results, read_plan(), tmp_path)
    assert page.read_text(encoding="utf-8") == text


def test_a_result_is_found_by_what_decided_it(tmp_path: Path) -> None:
    kept = result("ours", 0, 0.2, [], ["towers"])
    keep(kept, tmp_path)
    job = jobs(read_plan(), [0], ["beauty:ours"])[0]
    assert find(job, "f0", tmp_path, any_commit=False) == kept
    assert find(job, "other", tmp_path, any_commit=False) is None
    assert find(job, "other", tmp_path, any_commit=True) == kept
