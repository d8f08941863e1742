"""Running one job: a recipe of ours through our commands, or a peer in its environment; both judged by our code."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.quality.datasets import QualityDataset
from benchmarks.quality.environments import environment_fingerprint, python_of, versions
from benchmarks.quality.late_fusion import LATE_FUSED, WEIGHTS
from benchmarks.quality.machine import commit, git, machine
from benchmarks.quality.measure import ROOT, Cost, run
from benchmarks.quality.peers.exchange import Answer
from benchmarks.quality.plan import Job, PeerPlan, QualityPlan, RecipePlan
from benchmarks.quality.records import Result
from data_prep import Split
from data_prep.errors import GateFailed, UsageError
from data_prep.files import fingerprint, read_json, sha256, write_json
from towers.candidates import FUNNEL
from towers.evaluation import METRICS, Catalogue, summarize
from towers.events import History
from towers.metrics import EvaluationConfig, evaluate
from towers.model import RunRecord

PEERS = Path(__file__).with_name("peers")
DECIDING = ("data_prep", "towers", "conf")
COST = "cost.json"
SHOWN = ("metrics", "beyond")  # of a scorer; slices stay in the run


@dataclass(frozen=True)
class QualityBench:
    """Settings that jobs share.

    Attributes:
        plan: the plan.
        artifacts: root of runs, environments, data and logs.
        results: folder of the results.
        threads: numerical threads of each command.
        jobs: commands that run side by side.
        evaluation: cutoffs and the like, our own defaults.
    """

    plan: QualityPlan
    artifacts: Path
    results: Path
    threads: int
    jobs: int
    evaluation: EvaluationConfig

    def marks(self, job: Job, data: str) -> list[str]:
        """Fingerprints that a job's result may have: that of a first seed holds all that another one's does."""
        return [self.mark(job, data), self.mark(replace(job, first=True), data)]

    def mark(self, job: Job, data: str) -> str:
        """Stands for everything that decides a job's result; `data` is the dataset's fingerprint."""
        how = [data, str(self.threads)]
        if job.name in self.plan.recipes:
            recipe = asdict(self.plan.recipes[job.name])
            recipe["datasets"] = recipe["datasets"][job.dataset]
            recipe["funnel"] = recipe["funnel"].get(job.dataset)
            recipe["late_fusion"] = recipe["late_fusion"].get(job.dataset)
            del recipe["study"], recipe["seeds"]  # where and how often it is shown
            if not job.first:  # done by the first seed's evaluation only
                recipe["evaluate_untrained"] = recipe["untrained"] = None
            code = [git("rev-parse", f"HEAD:{part}") for part in DECIDING]
            uncommitted = git("status", "--porcelain", "--", *DECIDING) + git("diff", "HEAD", "--", *DECIDING)
            return fingerprint(*how, json.dumps(recipe), *code, *([uncommitted] if uncommitted else []))
        peer = self.plan.peers[job.name]
        environment = environment_fingerprint(self.plan.environments[peer.environment])
        scripts = [sha256(PEERS / name) for name in (peer.script, "exchange.py")]
        return fingerprint(*how, json.dumps(settings_of(peer, job)), environment, *scripts)


def settings_of(peer: PeerPlan, job: Job) -> dict[str, Any]:
    """A peer's settings on a dataset."""
    return {**peer.settings, **peer.datasets[job.dataset]}


def run_job(job: Job, bench: QualityBench, prepared: QualityDataset) -> Result:
    """Train, evaluate, and measure the cost.

    Raises:
        GateFailed: a command failed; the message holds the end of its log.
        UsageError: the evaluation has no scorer of a name in the plan.
    """
    mark, started_at = bench.mark(job, prepared.dataset.fingerprint), commit()
    if job.name in bench.plan.recipes:
        result = _run_recipe(job, bench.plan.recipes[job.name], bench, prepared, mark)
    else:
        result = _run_peer(job, bench.plan.peers[job.name], bench, prepared, mark)
    return replace(result, commit=started_at)  # not where the tree has come to meanwhile


def _run_recipe(job: Job, recipe: RecipePlan, bench: QualityBench, prepared: QualityDataset, mark: str) -> Result:
    name = f"{job.dataset}-{job.name}-{job.seed}-{mark}"
    folder, root = bench.artifacts / "runs" / name, bench.artifacts.absolute()
    settings = [*recipe.train, *recipe.datasets[job.dataset]]
    settings += [f"data={prepared.dataset.path.absolute()}", f"artifacts={root}", f"trainer.threads={bench.threads}"]
    encoded = bench.artifacts / "data" / f"{job.dataset}.{job.name}.texts.json"
    if not encoded.is_file():
        command = [sys.executable, "-m", "benchmarks.quality.texts", *settings]
        write_json(encoded, asdict(run(command, bench.artifacts / "logs" / f"{name}.texts.log", bench.threads)))
    train = [sys.executable, "-m", "towers.train", *settings, f"run={name}", f"seed={job.seed}"]
    if not RunRecord.finished(folder) or not (folder / COST).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        cost = run(train, bench.artifacts / "logs" / f"{name}.train.log", bench.threads)
        write_json(folder / COST, asdict(cost))
    cost = Cost(**read_json(folder / COST))
    notes = {"text_seconds": read_json(encoded)["seconds"]}
    funnel = recipe.funnel.get(job.dataset)
    commands = [train]
    if funnel is not None:
        commands.append([sys.executable, "-m", "towers.train_funnel", *funnel])
        commands[-1] += [
            f"run={folder.absolute()}",
            f"artifacts={root}",
            f"threads={bench.threads}",
            f"seed={job.seed}",
        ]
        notes["funnel_seconds"] = run(
            commands[-1], bench.artifacts / "logs" / f"{name}.funnel.log", bench.threads
        ).seconds
    fused = recipe.late_fusion.get(job.dataset)
    test = [sys.executable, "-m", "towers.evaluate"]
    if fused is not None:
        test[-1:] = ["benchmarks.quality.late_fusion", "--channels", ",".join(fused)]
    test += recipe.evaluate
    test += recipe.evaluate_untrained if job.first else []
    test += [f"run={folder.absolute()}", f"artifacts={root}", f"threads={bench.threads}"]
    run(test, bench.artifacts / "logs" / f"{name}.evaluate.log", bench.threads)
    report = read_json(folder / METRICS)
    wanted = recipe.rows | (recipe.untrained if job.first else {})
    if funnel is None:
        wanted.pop(FUNNEL, None)
    if fused is None:
        wanted.pop(LATE_FUSED, None)
    if missing := sorted(set(wanted) - {*report["scorers"], FUNNEL}):
        there = ", ".join(report["scorers"])
        raise UsageError(f"recipes.{job.name}: no scorer {', '.join(missing)}; the evaluation has {there}")
    also = [(s, label) for rows in recipe.also.values() for s, label in rows.items() if s in report["scorers"]]
    record = RunRecord.read(folder)
    weights = {"blocks": dict(record.block_weights.blocks)}
    if fused is not None:
        weights["late"] = read_json(folder / WEIGHTS)
    return _result(
        job,
        bench,
        mark,
        rows={label: row_of(report, scorer) for scorer, label in [*wanted.items(), *also]},
        untrained=list(recipe.untrained.values()) if job.first else [],
        cost=cost,
        commands=[_typed(command, root) for command in [*commands, test]],
        notes={
            "epochs": record.epochs,
            "validation": record.validation,
            "weights": weights,
            **notes,
        },
        versions=dict(record.libraries),
    )


def row_of(report: dict[str, Any], scorer: str) -> dict[str, Any]:
    """The figures that are kept of a scorer.

    Args:
        report: `metrics.json` of a run.
        scorer: its name there; `funnel` for the stage of the funnel that is served, which stands above recall.
    """
    if scorer == FUNNEL:
        stages, against = report["funnel"]["stages"], report["funnel"]["against"]
        served = report["funnel"]["served"]
        row = {part: stages[served][part] for part in SHOWN}
        if served in against["scorers"]:
            row["above"] = against["scorers"][served] | {"baseline": against["baseline"]}
        return row
    row = {part: report["scorers"][scorer][part] for part in SHOWN}
    cold = report["cold"]
    if cold is not None:
        row["cold"] = cold["scorers"][scorer] | {"users": cold["users"], "relevant": cold["relevant"]}
    against = report["against"]
    if against and scorer in against["scorers"]:
        row["above"] = against["scorers"][scorer] | {"baseline": against["baseline"]}
    return row


def _run_peer(job: Job, peer: PeerPlan, bench: QualityBench, prepared: QualityDataset, mark: str) -> Result:
    environment = bench.plan.environments[peer.environment]
    python = python_of(peer.environment, environment, bench.artifacts / "envs")
    cases = prepared.cases(Split.TEST)
    exchange = bench.artifacts / "exchange"
    exchange.mkdir(parents=True, exist_ok=True)
    name = f"{job.dataset}-{job.name}-{job.seed}-{mark}"
    material, answer = exchange / f"{name}.material.npz", exchange / f"{name}.answer.npz"
    prepared.material(cases).write(material)
    command = [str(python), "-W", "ignore", str(PEERS / peer.script), "--material", str(material)]
    command += ["--answer", str(answer), "--seed", str(job.seed), "--settings", json.dumps(settings_of(peer, job))]
    cost = run(command, bench.artifacts / "logs" / f"{name}.log", bench.threads, None)
    made = Answer.read(answer)
    if made.users.shape[0] != len(cases) or made.items.shape[0] != len(prepared.item_ids):
        raise GateFailed(f"{name}: vectors {made.users.shape} and {made.items.shape} do not fit {len(cases)} cases")
    settings = bench.evaluation
    outcome = evaluate(PeerScorer(peer.label, made, cases.order), cases, settings.batch_size)
    row = asdict(summarize(outcome, cases, Catalogue(prepared.counts, None), settings.bootstrap(job.seed)))
    material.unlink()
    answer.unlink()
    return _result(
        job,
        bench,
        mark,
        rows={peer.label: {part: row[part] for part in SHOWN}},
        untrained=[],
        cost=cost,
        commands=[_typed(command, bench.artifacts.absolute())],
        notes=made.notes,
        versions=versions(python, environment.told),
    )


class PeerScorer:
    """Vectors that were made elsewhere, as a scorer: it answers for the cases in the order of evaluation, once.

    Args:
        name: the row's name.
        answer: vectors of the cases and of the catalogue.
        order: of evaluation, `Cases.order`.
    """

    def __init__(self, name: str, answer: Answer, order: NDArray[np.int64]) -> None:
        self.name = name
        self.users = torch.from_numpy(answer.users[order].astype(np.float32))
        self.items = torch.from_numpy(answer.items.astype(np.float32))
        self.unknown = torch.from_numpy(~answer.known)
        self.next = 0

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Inner products, [B, N]; items that the peer never saw come last."""
        chosen = self.users[self.next : self.next + len(histories)]
        self.next += len(histories)
        scores = chosen @ self.items.T  # [B, N]
        scores[:, self.unknown] = torch.finfo(scores.dtype).min
        return scores


def _typed(command: list[str], artifacts: Path) -> str:
    """A command as a reader of the page would type it."""
    shown = [part.replace(str(artifacts), "artifacts/quality").replace(f"{ROOT}/", "") for part in command]
    return shlex.join(["python" if command[0] == sys.executable else shown[0], *shown[1:]])


def _result(job: Job, bench: QualityBench, mark: str, cost: Cost, **rest: Any) -> Result:
    return Result(
        dataset=job.dataset,
        name=job.name,
        seed=job.seed,
        fingerprint=mark,
        seconds=cost.seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_mb=cost.peak_mb,
        threads=bench.threads,
        jobs=bench.jobs,
        commit="",
        machine=machine(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        **rest,
    )
