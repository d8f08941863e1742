"""Reports of sweeps, from run folders written by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import load_config
from data_prep.errors import GateFailed, UsageError
from tests.towers.model.run_records import record_of
from towers.sweep_report import SweepReportConfig, report
from towers.tuning.trials import compare, gather, note_failure, parse_overrides

METRIC = "ndcg@10"


def write_run(
    folder: Path, overrides: list[str], value: float, interval: tuple[float, float] | None = None, **config: object
) -> None:
    """What `towers.train` leaves, as far as reports read it."""
    typed = parse_overrides(overrides)
    recorded = {"tower": {"dim": int(typed.get("tower.dim", 128)), "dropout": 0.3}, "run": folder.name, **config}
    record = record_of(
        config={"seed": int(typed.get("seed", 0)), "negatives": {"_target_": typed.get("negatives", "U")}} | recorded,
        validation={METRIC: value, "recall@10": value / 2},
        intervals={METRIC: interval} if interval else {},
        epochs=4,
        best_epoch=3,
        cost={"wall_seconds": 10.0, "cpu_seconds": 15.0, "peak_memory_mb": 700.0},
        overrides=overrides,
    )
    folder.mkdir(parents=True)
    record.write(folder)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """dim × negatives × three seeds, and two trials that came to nothing."""
    folder = tmp_path / "sweep"
    values = {("64", "[in_batch,uniform]"): 0.30, ("64", "full"): 0.299, ("8", "full"): 0.10, ("8", "uniform"): 0.2}
    trials = [(*key, seed, value) for key, value in values.items() for seed, value in enumerate([value] * 3)]
    for number, (dim, negatives, seed, value) in enumerate(trials):
        typed = [f"tower.dim={dim}", f"negatives={negatives}", f"seed={seed}", "data=shop", "run=sweep"]
        write_run(folder / str(number), typed, value + 0.001 * (seed - 1))
    note_failure(folder / "12", "tower.dim must be at least 2, not 1")
    (folder / "13" / ".hydra").mkdir(parents=True)
    (folder / "13" / ".hydra" / "overrides.yaml").write_text("- tower.dim=64\n- negatives=uniform\n- seed=2\n")
    return folder


def config(*overrides: str) -> SweepReportConfig:
    return load_config(SweepReportConfig, "sweep_report", list(overrides))


def test_trials_that_differ_in_seed_are_one_row_best_first_with_students_interval(sweep: Path):
    groups = compare(gather([sweep]), METRIC, 0.95)
    assert [group.settings for group in groups] == [
        {"tower.dim": "64", "negatives": "[in_batch,uniform]"},
        {"tower.dim": "64", "negatives": "full"},
        {"tower.dim": "8", "negatives": "uniform"},
        {"tower.dim": "8", "negatives": "full"},
    ]
    best = groups[0]
    # values .299, .300, .301: standard deviation .001, t(.975, 2) = 4.302653
    assert best.mean == pytest.approx(0.3)
    assert best.half_width == pytest.approx(4.302653 * 0.001 / math.sqrt(3), rel=1e-5)
    assert [group.close for group in groups] == [True, True, False, False]


def test_the_report_is_written_with_figures_reasons_and_plots(sweep: Path):
    made = report(config(f"folder={sweep}"))
    told = (sweep / "report.md").read_text()
    assert "| 1 | 64 | [in_batch,uniform] | 0.3000 | 0.2975…0.3025 | 3 | 10.0 | 15.0 | 700 | 3.0 |" in told
    assert "| 2 ≈ | 64 | full |" in told
    assert "tower.dim must be at least 2, not 1" in told
    assert "(tower.dim=64 negatives=uniform seed=2): unfinished, no epoch is whole yet" in told
    for plot in ("by_setting", "parallel_coordinates", "quality_and_cost"):
        assert (sweep / f"{plot}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({plot}.png)" in told
    assert len(made.plots) == 3
    table, trials = pd.read_csv(sweep / "report.csv"), pd.read_csv(sweep / "trials.csv")
    assert list(table["within_noise_of_best"]) == [True, True, False, False]
    assert list(table["seeds"]) == [3, 3, 3, 3]
    assert len(trials) == 14
    assert trials["recall@10"].notna().sum() == 12


def test_a_lone_seed_has_the_bootstraps_interval_and_noise_is_judged_by_both_widths(tmp_path: Path):
    for dim, value in ((8, 0.20), (16, 0.225), (32, 0.24)):
        write_run(tmp_path / str(dim), [f"tower.dim={dim}"], value, (value - 0.015, value + 0.015))
    groups = compare(gather([tmp_path]), METRIC, 0.95)
    assert (groups[0].low, groups[0].high) == pytest.approx((0.225, 0.255))
    # hypot(.015, .015) = .0212: .225 is .015 away, .20 is .04 away
    assert [g.close for g in groups] == [True, True, False]


def test_several_folders_are_one_report_and_untyped_differences_come_from_the_configuration(tmp_path: Path):
    write_run(tmp_path / "a" / "0", ["tower.dim=64"], 0.2, queries={"rate": 0.1})
    write_run(tmp_path / "b" / "0", ["tower.dim=64"], 0.3, queries={"rate": 0.2})
    write_run(tmp_path / "b" / "1", [], 0.4, queries={"rate": 0.2})
    made = report(config(f"folder=[{tmp_path}/a,{tmp_path}/b]", f"to={tmp_path}/out", "plots=false"))
    assert [group.settings for group in made.groups] == [
        {"tower.dim": "128", "queries.rate": "0.2"},
        {"tower.dim": "64", "queries.rate": "0.2"},
        {"tower.dim": "64", "queries.rate": "0.1"},
    ]
    assert (tmp_path / "out" / "report.md").is_file()


def test_what_cannot_be_reported_is_refused_by_name(sweep: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="nowhere is not there"):
        report(config("folder=nowhere"))
    with pytest.raises(UsageError, match=r"no 'ndcg@7'; it has ndcg@10, recall@10"):
        report(config(f"folder={sweep}", "metric=ndcg@7"))
    with pytest.raises(GateFailed, match=r"no trial is finished; .*dim must be at least 2"):
        report(config(f"folder={sweep / '12'}"))
    with pytest.raises(UsageError, match="no training run"):
        report(config(f"folder={tmp_path / 'sweep' / '13' / '.hydra'}"))
