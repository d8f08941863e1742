"""`python -m towers.evaluate`: which scorers stand beside the towers, and what they were fitted to."""

import json
import shutil
from pathlib import Path

import pytest

from data_prep.command import load_config
from data_prep.config import CONFIG_FOLDER
from data_prep.errors import UsageError
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.evaluation import ScorerSummary


def config(run: Path, data: Path, *overrides: str) -> EvaluateConfig:
    common = [f"run={run}", f"data={data}", "evaluation.cutoffs=[5,10]", "threads=1", "evaluation.bootstrap_samples=20"]
    return load_config(EvaluateConfig, "evaluate", [*common, *overrides])


def test_every_baseline_stands_beside_the_towers_or_says_why_not(tiny_run: Path, tiny_data: Path):
    report = evaluate_run(
        config(tiny_run, tiny_data, "baselines=all", "baselines.ease.max_items=3", "baselines.ials.factors=4")
    )
    names = {path.stem for path in (CONFIG_FOLDER / "baselines").glob("*.yaml")} - {"all", "none", "benchmark"}
    baselines = [name for name in report.scorers if not name.startswith(("two towers", "one vector"))]
    assert len(baselines) + len(report.left_out) == len(names)
    assert "max_items" in report.left_out["ease"]
    assert report.until == "valid"
    assert {"two towers", "popularity", "item-knn, cosine", "L0"} <= set(report.scorers)
    without_history = report.without_history
    assert without_history is not None and without_history.against is not None
    assert set(without_history.scorers) == {
        "two towers",
        "one vector",
        "popularity",
        "decayed popularity",
        "trending",
    }
    assert without_history.against.baseline in ("popularity", "decayed popularity", "trending")
    for name in ("popularity", "two towers"):
        summary, taken_away = report.scorers[name], without_history.scorers[name]["ndcg@5"].mean
        assert summary.slices["history taken away"].metrics["ndcg@5"].mean == pytest.approx(taken_away)
        reads = summary.metrics["ndcg@5"].mean != pytest.approx(taken_away)
        assert reads == (name == "two towers"), "popularity reads no history"


def test_baselines_are_a_list_on_the_command_line(tiny_run: Path, tiny_data: Path):
    chosen = config(tiny_run, tiny_data, "baselines=[markov,bm25]")
    found = [name for name in evaluate_run(chosen).scorers if not name.startswith(("two towers", "one vector"))]
    assert found == ["markov", "bm25"]


def test_a_run_that_saw_the_validation_events_is_compared_with_baselines_that_did(
    tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    refit = tmp_path / "refit"
    shutil.copytree(tiny_run, refit)
    record = json.loads((refit / "run.json").read_text())
    (refit / "run.json").write_text(json.dumps(record | {"until": "test"}))

    def popularity(run: Path) -> ScorerSummary:
        return evaluate_run(config(run, tiny_data, "baselines=[popularity]")).scorers["popularity"]

    assert popularity(refit) != popularity(tiny_run)
    with pytest.raises(UsageError, match="held_out=test"):
        evaluate_run(config(refit, tiny_data, "held_out=valid"))
