"""All contenders side by side, each in a process of its own, measured in turns."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np

from benchmarks.ann.catalogue import Vectors
from benchmarks.ann.peers.worker import ANSWER, Rows
from benchmarks.ann.plan import ContenderPlan, MeasurePlan
from benchmarks.ann.records import Contender, Rate
from benchmarks.quality.measure import ROOT, TAIL
from data_prep.errors import GateFailed

WORKER = Path(__file__).parent / "peers" / "worker.py"
TIE = 1e-6
"""Scores nearer than this are equally good: libraries add up in different orders."""


@dataclass(frozen=True)
class ContestFiles:
    """Input of every contender, as files.

    Attributes:
        vectors: the catalogue, [N, dim].
        queries: user vectors that are searched, [Q, dim].
        users: user vectors that our calibration sees, none of them among the queries.
    """

    vectors: Path
    queries: Path
    users: Path


class PeerWorker:
    """A contender's process.

    Args:
        name: of the contender.
        plan: what it runs.
        python: of its environment.
        material: what it is given.
        folder: for its log and its answers.

    Raises:
        GateFailed: it ended before it was ready.
    """

    def __init__(self, name: str, plan: ContenderPlan, python: Path, material: ContestFiles, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.found = folder / f"{name}.npy"
        build = json.dumps(plan.build).replace("{users}", str(material.users))
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [python, WORKER, plan.module, material.vectors, material.queries, build],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )
        self.built = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def rows(self, setting: dict[str, Any], k: int) -> Rows:
        """Rows that a setting finds for every query, [Q, k]."""
        self._ask(setting=setting, k=k, save=str(self.found))
        return np.asarray(np.load(self.found))

    def rate(self, setting: dict[str, Any], k: int, batch: int, threads: int, seconds: float) -> dict[str, float]:
        """How fast a setting is."""
        return self._ask(setting=setting, k=k, batch=batch, threads=threads, seconds=seconds)

    def _ask(self, **request: Any) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # libraries print too
            if line.startswith(ANSWER):
                answer: dict[str, float] = json.loads(line.removeprefix(ANSWER))
                return answer
        tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])
        raise GateFailed(f"{self.name} ended with {self.process.wait()}; the end of {self.log}:\n{tail}")


def run(
    plans: dict[str, ContenderPlan],
    pythons: dict[str, Path],
    material: ContestFiles,
    measure: MeasurePlan,
    folder: Path,
    jobs: int,
) -> dict[str, Contender]:
    """Build every contender, see what each setting finds, then time them in turns.

    Args:
        plans: the contenders.
        pythons: of each one's environment.
        material: what they are given.
        measure: what is measured.
        folder: for logs and answers.
        jobs: contenders that build side by side.

    Raises:
        GateFailed: one of them failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vectors, queries = np.load(material.vectors), np.load(material.queries)
    bounds = kth_scores(vectors, queries, measure.k)
    with ExitStack() as stack:

        def started(name: str) -> PeerWorker:
            worker = PeerWorker(name, plans[name], pythons[name], material, folder)
            print(f"{name}: built in {worker.built['build_cpu_seconds']:.1f} CPU-seconds", flush=True)
            return worker

        with ThreadPoolExecutor(jobs) as pool:
            workers = dict(zip(plans, [stack.enter_context(w) for w in pool.map(started, plans)], strict=True))
        contenders = {}
        for name, worker in workers.items():
            found = [recall(worker.rows(s, measure.k), vectors, queries, bounds) for s in plans[name].tried]
            print(f"{name}: recall {' '.join(f'{value:.4f}' for value in found)}", flush=True)
            contenders[name] = Contender(
                build_cpu_seconds=worker.built["build_cpu_seconds"],
                bytes_per_vector=worker.built["bytes"] / len(vectors),
                settings=plans[name].tried,
                recalls=found,
                rates=[],
            )
        _time_curves(workers, contenders, measure)
        _time_tables(workers, contenders, measure)
    return contenders


def kth_scores(vectors: Vectors, queries: Vectors, k: int) -> Vectors:
    """The score of the k-th best item for each query, [Q]."""
    blocks = np.array_split(queries, max(1, len(queries) // 256))
    return np.concatenate([np.partition(block @ vectors.T, -k, axis=1)[:, -k] for block in blocks])


def recall(rows: Rows, vectors: Vectors, queries: Vectors, bounds: Vectors) -> float:
    """Mean share of the k places that are filled as well as exact search fills its last one.

    Args:
        rows: found for each query, [Q, k]; -1 is nothing.
        vectors: of the catalogue.
        queries: [Q, dim].
        bounds: score of the k-th best item for each query, [Q].
    """
    good = 0
    for found, query, bound in zip(rows, queries, bounds, strict=True):
        known = np.unique(found[found >= 0])
        good += int(np.count_nonzero(vectors[known] @ query >= bound - TIE))
    return good / rows.size


def _time_curves(workers: dict[str, PeerWorker], contenders: dict[str, Contender], measure: MeasurePlan) -> None:
    """Every setting, with the largest batch and one thread."""
    jobs = [(name, position) for name in workers for position in range(len(contenders[name].settings))]
    _time(workers, contenders, [(name, position, max(measure.batches), 1) for name, position in jobs], measure)


def _time_tables(workers: dict[str, PeerWorker], contenders: dict[str, Contender], measure: MeasurePlan) -> None:
    """The setting of the table, with every batch and number of threads that is not known yet."""
    cells = [(batch, threads) for batch in measure.batches for threads in measure.threads]
    missing = [cell for cell in cells if cell != (max(measure.batches), 1)]
    chosen = {name: contenders[name].chosen(measure.recall_floor, max(measure.batches)) for name in workers}
    _time(workers, contenders, [(name, chosen[name], *cell) for name in workers for cell in missing], measure)


def _time(
    workers: dict[str, PeerWorker],
    contenders: dict[str, Contender],
    jobs: list[tuple[str, int, int, int]],
    measure: MeasurePlan,
) -> None:
    """Time (name, position of the setting, batch, threads) in turns and note the medians."""
    turns: dict[tuple[str, int, int, int], list[dict[str, float]]] = {job: [] for job in jobs}
    for number in range(measure.rounds):
        print(f"timing {len(jobs)} settings, turn {number + 1} of {measure.rounds}", flush=True)
        for name, position, batch, threads in jobs:
            setting = contenders[name].settings[position]
            rate = workers[name].rate(setting, measure.k, batch, threads, measure.seconds)
            turns[name, position, batch, threads].append(rate)
    for (name, position, batch, threads), rates in turns.items():
        middle = {figure: median(rate[figure] for rate in rates) for figure in rates[0]}
        contenders[name].rates.append(Rate(position, batch, threads, **middle))


def python_for(plan: ContenderPlan, environments: dict[str, Path]) -> Path:
    """The interpreter of a contender: its environment's, or ours."""
    return Path(sys.executable) if plan.environment is None else environments[plan.environment]
