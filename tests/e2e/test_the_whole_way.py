"""From CSV files to a gRPC answer with nothing but the commands of the README, each a process of its own."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from data_prep.dataset import Dataset
from tests import processes
from tests.tiny import RANKER_OVERRIDES, TRAIN_OVERRIDES, tabular_overrides
from towers import OneVectorModel
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.metrics.evaluation import evaluate

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: str) -> str:
    done = processes.run(processes.python("-m", module, *arguments), timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_logs_become_answers(tiny_logs: tuple[Path, Path], tiny_encoder: Path, tmp_path: Path):
    artifacts = f"artifacts={tmp_path}"
    data, trained = f"data={tmp_path}/data/shop", f"run={tmp_path}/runs/first"
    run("data_prep", *tabular_overrides(*tiny_logs), artifacts, "name=shop")
    run("towers.train", data, artifacts, "run=first", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES)
    bert = f"model.folder={tiny_encoder.parent / 'bert'}"
    said = run("towers.train_ranker", trained, artifacts, bert, *RANKER_OVERRIDES)
    assert said.startswith("cross-encoder: ") and "users it did not learn from" in said
    table = run("towers.evaluate", trained, artifacts, "evaluation.cutoffs=[5,10]", "threads=1")
    assert all(name in table for name in ("two towers", "popularity", "item-knn", "text similarity"))
    assert "is current" in run("index.build", trained, artifacts, "threads=1", "cross_encoder=always")

    bundle = tmp_path / "bundles" / "current"
    command = processes.python("-m", "retrieval_server", f"bundle={bundle}", "port=0", "lame_duck_seconds=0")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with processes.started(command, stdout=subprocess.PIPE, env=environment) as server:
        line = server.stdout.readline()
        assert line.startswith("serving bundle")
        at = ["--address", line.split(" on ")[1].split(",")[0]]
        run("retrieval_server.client", "health", "--wait", "60", *at)
        answer = json.loads(
            run("retrieval_server.client", "recall", "--history", "co-0,co-1", "-k", "5", "--json", *at)
        )
        assert len(answer["item_ids"]) == 5
        shown = run("retrieval_server.client.tour", "--bundle", str(bundle), *at)
        assert "Recommend" in shown
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_the_metrics_file_holds_what_evaluating_again_finds(tiny_run: Path, tiny_data: Path):
    from data_prep.columns import Split
    from data_prep.command import load_config
    from towers.evaluate import EvaluateConfig, evaluate_run
    from towers.model.scorer import model_scorer

    overrides = [f"run={tiny_run}", f"data={tiny_data}", "evaluation.cutoffs=[5]", "threads=1"]
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", overrides))
    towers, dataset = OneVectorModel.open(tiny_run), Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), item_ids, Split.TEST, True, [5])
    outcome = evaluate(model_scorer("two towers", towers.only([]), dataset.items), cases, batch_size=7)
    mean = report.scorers["two towers"].metrics["recall@5"].mean
    assert mean == pytest.approx(outcome.metrics[:, 0].mean(), abs=1e-9)
    assert outcome.top.min() >= -1
    assert outcome.top.max() < len(item_ids)
    for case, top in enumerate(outcome.top):
        assert not set(top) & set(cases.seen(case))


def test_towers_and_data_that_do_not_belong_together_are_refused(tiny_run: Path, tiny_logs, tmp_path: Path):
    run("data_prep", *tabular_overrides(*tiny_logs), f"artifacts={tmp_path}", "name=other", "split.test_fraction=0.2")
    command = processes.python("-m", "towers.evaluate", f"run={tiny_run}", f"data={tmp_path}/data/other")
    done = processes.run(command, timeout=120)
    assert done.returncode == 2
    assert "was trained on data" in done.stderr
