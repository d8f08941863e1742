"""The plan of the quality benchmark, the results it keeps, and the page made of them; nothing is trained here."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality.page import BEGIN, END, write_page
from benchmarks.quality.plan import PLAN, Job, QualityPlan, jobs, read_plan
from benchmarks.quality.records import Result, find, keep, path_of, recorded
from benchmarks.quality.runs import QualityBench
from benchmarks.quality.speed import PEER, Speeds, keep_speeds, read_speeds
from data_prep.errors import GateFailed, UsageError


@pytest.fixture
def plan() -> QualityPlan:
    """The one that is run."""
    return read_plan()


def interval(mean: float) -> dict[str, float]:
    """A figure with its bootstrap interval, 0.015 to either side on average."""
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.02}


def result(name: str, seed: int, ndcg: float, untrained: list[str], rows: list[str], **rest: Any) -> Result:
    """A made-up result on Beauty."""
    metrics = dict.fromkeys(("hit_rate@10", "ndcg@10", "recall@50"), interval(ndcg))
    row = {"metrics": metrics, "beyond": {"coverage": 0.5, "popularity_share": 0.25}, **rest}
    return Result(
        dataset="beauty",
        name=name,
        seed=seed,
        fingerprint=f"f{seed}",
        rows=dict.fromkeys(rows, row),
        untrained=untrained,
        seconds=100.0 + seed,
        cpu_seconds=90.0 + seed,
        peak_mb=1000.0 + seed,
        threads=2,
        jobs=1,
        commands=[f"python train {name}"],
        notes={"epochs": 7 + seed},
        commit="abc",
        machine="a machine",
        versions={"torch": "2"},
        finished="2026-01-01T00:00:00+00:00",
    )


def page_of(results: list[Result], plan: QualityPlan, folder: Path, speeds: Speeds | None = None) -> str:
    """The page."""
    write_page(results, speeds, plan, folder)
    return (folder / "benchmarks.md").read_text(encoding="utf-8")


def test_only_picks_datasets_and_rows(plan: QualityPlan) -> None:
    everything = jobs(plan, [0, 1], [])
    assert [job.first for job in everything] == [job.seed == 0 for job in everything]
    assert [job.seed for job in everything] == sorted(job.seed for job in everything)
    assert {job.key for job in jobs(plan, [0], ["beauty:implicit-als"])} == {"beauty:implicit-als"}
    assert {job.key for job in jobs(plan, [0], [":cold"])} == {"beauty:cold"}
    assert {job.dataset for job in jobs(plan, [0], [":implicit-als"])} == set(plan.datasets)
    with pytest.raises(UsageError, match="nothing"):
        jobs(plan, [0], ["beauty:nothing"])


def test_a_recipe_may_have_seeds_of_its_own(plan: QualityPlan) -> None:
    plan.recipes["cold"].seeds = [1]
    cold = [job for job in jobs(plan, [0, 1, 2], ["beauty:"]) if job.name == "cold"]
    assert cold == [Job("beauty", "cold", 1, first=True)]
    assert {job.seed for job in jobs(plan, [0, 1, 2], ["beauty:ours"])} == {0, 1, 2}
    assert jobs(plan, [0], ["beauty:cold"]) == []


def test_a_recipe_of_no_study_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.read_text(encoding="utf-8").replace("study: cold", "study: warm"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"recipes.cold: study warm is not one of negatives, cold, blocks"):
        read_plan(path)


def test_rows_of_one_label_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.read_text(encoding="utf-8").replace(": + linear", ": EASE"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"recipes\.ours: several rows are called EASE"):
        read_plan(path)


def test_the_page_says_what_the_results_say_and_keeps_what_is_around(plan: QualityPlan, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nalso mine\n", encoding="utf-8")
    results = [
        result("ours", 0, 0.20, ["popularity"], ["towers", "popularity"]),
        replace(result("ours", 1, 0.40, [], ["towers"]), commit="def", machine="another"),
        result("implicit-als", 0, 0.10, [], ["iALS"]),
    ]
    text = page_of(results, plan, tmp_path)
    assert text.startswith("# Mine") and text.endswith("also mine\n") and "old" not in text
    cell = "0.3000 ± 0.0150"
    assert f"| **towers** | {cell} | {cell} | {cell} | 0.1414 | 0.500 | 100 | 90 | 1,001 | 2 |" in text
    assert "| popularity | 0.2000 ± 0.0150 |" in text
    assert "| ours | beauty | abc, def | 2026-01-01 | 1, 2 | 2 | 1 | 7; 8 | torch 2 |" in text
    assert "Machines: 1. a machine; 2. another." in text
    assert (tmp_path / "images" / "quality.png").stat().st_size > 10_000
    assert page_of(results, plan, tmp_path) == text


def test_the_page_says_how_far_ours_lies_above_the_strongest_baseline(plan: QualityPlan, tmp_path: Path) -> None:
    above = {"ndcg@10": {"mean": 0.05, "low": 0.01, "high": 0.0925}, "baseline": "ease"}
    text = page_of([result("ours", 0, 0.2, ["EASE"], ["towers", "EASE"], above=above)], plan, tmp_path)
    assert "NDCG@10 user by user: towers +0.0500 (+0.0100 to +0.0925) from EASE with seed 0." in text


def test_a_study_has_a_table_of_its_own(plan: QualityPlan, tmp_path: Path) -> None:
    cold = {"recall@50": interval(0.30), "users": 1234, "relevant": 2345}
    results = [
        result("ours", 0, 0.20, [], ["towers"]),
        result("negatives-full", 0, 0.10, [], ["full softmax"]),
        result("negatives-uniform", 0, 0.05, [], ["uniform"]),
        result("cold", 0, 0.15, ["popularity"], ["popularity", "twotower, towers alone"], cold=cold),
    ]
    text = page_of(results, plan, tmp_path)
    main, negatives, cold_items = (part.split("\n## ")[0] for part in text.split("\n## ")[1:4])
    assert "**towers**" in main and "full softmax" not in main and "popularity" not in main
    figures = " | ".join(["0.0500 ± 0.0150"] * 3)
    uniform = f"| uniform | {figures} | 0.500 | 0.250 | 7 | 100 | 90 | 1,000 |"
    assert negatives.startswith("Negatives") and uniform in negatives
    assert negatives.index("| uniform |") < negatives.index("| full softmax |")  # as in the plan
    assert "| twotower, towers alone | 0.3000 ± 0.0150 | 1,234 | 2,345 | 0.1500 ± 0.0150 | 100 |" in cold_items
    assert "| popularity | 0.3000 ± 0.0150 | 1,234 | 2,345 | 0.1500 ± 0.0150 | – |" in cold_items


def test_rows_of_a_recipe_may_stand_in_a_study(plan: QualityPlan, tmp_path: Path) -> None:
    weights = {"blocks": {"cooccurrence": 0.251, "text": 0.0}, "late": {"cooccurrence": 0.0}}
    results = [
        replace(
            result("ours", 0, 0.20, [], ["twotower", "no block", "+ linear"]), notes={"epochs": 7, "weights": weights}
        )
    ]
    main, blocks, rest = page_of(results, plan, tmp_path).split("\n## ")[1:4]
    assert "twotower" in main and "+ linear" not in main
    assert blocks.startswith("Blocks") and "--only :ours" in blocks
    assert f"| + linear | {' | '.join(['0.2000 ± 0.0150'] * 3)} | 0.500 | 1 |" in blocks
    assert "| 7; blocks: cooccurrence 0.25; late: none |" in rest


def test_a_column_that_no_result_holds_is_refused(plan: QualityPlan, tmp_path: Path) -> None:
    plan.studies["negatives"].columns["oops"] = "beyond.oops"
    with pytest.raises(UsageError, match=r"studies.negatives.columns.oops: no result on beauty holds beyond.oops"):
        write_page([result("negatives-full", 0, 0.1, [], ["full softmax"])], None, plan, tmp_path)


def test_a_result_is_found_by_what_decided_it(plan: QualityPlan, tmp_path: Path) -> None:
    kept = result("ours", 0, 0.2, [], ["towers"])
    keep(kept, tmp_path)
    job = jobs(plan, [0], ["beauty:ours"])[0]
    assert find(job, ["f0"], tmp_path, any_commit=False) == kept
    assert find(job, ["other", "f0"], tmp_path, any_commit=False) == kept
    assert find(job, ["other"], tmp_path, any_commit=False) is None
    assert find(job, ["other"], tmp_path, any_commit=True) == kept


def test_a_newer_result_of_a_job_takes_the_older_ones_place(plan: QualityPlan, tmp_path: Path) -> None:
    keep(result("ours", 0, 0.2, [], ["towers"]), tmp_path)
    newer = replace(result("ours", 0, 0.3, [], ["towers"]), fingerprint="newer")
    keep(newer, tmp_path)
    keep(result("no-longer-planned", 0, 0.2, [], ["towers"]), tmp_path)
    assert recorded(plan, tmp_path) == [newer]


def test_a_kept_result_is_small_and_the_same_whatever_the_order(tmp_path: Path) -> None:
    one = replace(result("ours", 0, 0.2, [], ["b", "a"]), notes={"z": 1 / 3, "epochs": 7}, seconds=1.23456789)
    other = replace(one, rows=dict(sorted(one.rows.items())), notes={"epochs": 7, "z": 1 / 3})
    path = path_of(Job("beauty", "ours", 0, first=True), tmp_path)
    keep(one, tmp_path)
    text = path.read_text(encoding="utf-8")
    keep(other, tmp_path)
    assert path.read_text(encoding="utf-8") == text
    assert json.loads(text)["notes"] == {"epochs": 7, "z": 0.333333} and json.loads(text)["seconds"] == 1.234568


def test_a_result_of_the_first_seed_serves_where_it_is_not_the_first(plan: QualityPlan, tmp_path: Path) -> None:
    bench = QualityBench(plan, tmp_path, tmp_path, threads=1, jobs=1, evaluation=None)  # type: ignore[arg-type]
    first, later = Job("beauty", "ours", 1, first=True), Job("beauty", "ours", 1, first=False)
    assert bench.mark(first, "data") in bench.marks(later, "data")
    assert bench.mark(later, "data") not in bench.marks(first, "data")


def test_where_a_recipe_is_shown_decides_no_result(plan: QualityPlan, tmp_path: Path) -> None:
    bench = QualityBench(plan, tmp_path, tmp_path, threads=1, jobs=1, evaluation=None)  # type: ignore[arg-type]
    job = Job("beauty", "cold", 0, first=True)
    before = bench.mark(job, "data")
    plan.recipes["cold"].study, plan.recipes["cold"].seeds = None, None
    assert bench.mark(job, "data") == before


@pytest.mark.parametrize(("any_commit", "measured"), [(False, ["new"]), (True, [])])
def test_running_measures_anew_what_is_stale_unless_told_not_to(
    any_commit: bool, measured: list[str], plan: QualityPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale, done = result("ours", 0, 0.2, [], ["towers"]), []
    keep(stale, tmp_path)

    def run_job(job: Job, bench: QualityBench, prepared: Any) -> Result:
        done.append("new")
        return replace(stale, fingerprint=bench.mark(job, prepared.dataset.fingerprint))

    monkeypatch.setattr(quality, "run_job", run_job)
    bench = QualityBench(plan, tmp_path, tmp_path, threads=1, jobs=1, evaluation=None)  # type: ignore[arg-type]
    data: Any = {"beauty": SimpleNamespace(dataset=SimpleNamespace(fingerprint="data"))}
    for _ in range(2):  # the second time there is nothing left to do
        assert quality.measure(jobs(plan, [0], ["beauty:ours"]), bench, data, any_commit)
    assert done == measured


def speeds() -> Speeds:
    """Made-up figures of three turns."""
    ours = [{"steps": s, "predicted": 100 * s, "sequences": 4.0, "positions": 12.0} for s in (6.0, 3.0, 4.0)]
    theirs = [{"steps": s, "predicted": 4 * s, "sequences": 4.0, "positions": 20.0} for s in (2.0, 1.0, 9.0)]
    settings = {"rows": 4, "length": 5, "dim": 8, "layers": 2, "heads": 2, "steps": 50, "threads": 2}
    command = "python -m benchmarks.training_speed"
    return Speeds({PEER: theirs, "ours": ours}, settings, command, "abc", "a machine", {"torch": "2"}, "2026-01-02T00")


def test_speeds_are_kept_and_shown_as_ratios_of_medians(plan: QualityPlan, tmp_path: Path) -> None:
    keep_speeds(speeds(), tmp_path / "results")
    assert read_speeds(tmp_path / "results") == speeds()
    assert recorded(plan, tmp_path / "results") == []
    text = page_of([], plan, tmp_path, read_speeds(tmp_path / "results"))
    assert "| **ours** | 4.00 | 2.00 | 400 | 50.0 | 4 | 12 |" in text
    assert f"| {PEER} | 2.00 | 1.00 | 8 | 1.0 | 4 | 20 |" in text
    assert "    python -m benchmarks.training_speed\n" in text and "Quality beside cost" not in text


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`--report` where there are neither data nor artifacts."""
    folders = [("--results", "results"), ("--docs", "docs"), ("--artifacts", "artifacts"), ("--shared", "shared")]
    options = ["quality", "--report", *(part for name, folder in folders for part in (name, str(tmp_path / folder)))]
    monkeypatch.setattr(sys, "argv", options)
    return options


def test_a_report_needs_no_data_and_takes_results_of_any_commit(report: list[str], tmp_path: Path) -> None:
    keep(replace(result("ours", 5, 0.2, [], ["towers"]), fingerprint="of older code"), tmp_path / "results")
    (tmp_path / "docs").mkdir()
    with pytest.raises(SystemExit) as left:
        quality.main()
    assert left.value.code == 0
    assert "| **towers** | 0.2000 ± 0.0150" in (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert not (tmp_path / "artifacts").exists()


def test_a_report_of_nothing_leaves_the_page_alone(report: list[str], tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="holds no result"):
        quality.main()
    assert not (tmp_path / "docs").exists()
