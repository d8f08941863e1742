"""Measurements, one small file for each training, kept in the repository: a benchmark goes on on any machine."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.plan import Job, QualityPlan
from data_prep.files import read_json, write_json

RESULTS = Path(__file__).with_name("results")
PLACES = 6  # of decimals that are kept


@dataclass(frozen=True)
class Result:
    """One training and its figures.

    Attributes:
        dataset, name, seed: as in the job.
        fingerprint: of everything that decides it.
        rows: label on the page -> `metrics` and `beyond` as `towers.evaluation.tables.summarize` has them, and where
            there are any
            `cold`: recall of items without training events, `users` with any, number of `relevant` ones; `above`: how
            far it lies above the strongest `baseline`, as `towers.evaluation.tables.compare` has it.
        untrained: labels among them that took no training.
        seconds, cpu_seconds, peak_mb: of the training command: wall-clock time, processor time (None in results from
            before it was taken), largest resident set in MiB.
        threads, jobs: numerical threads of the command, commands that ran side by side.
        commands: as they were typed.
        notes: whatever else is known.
        commit: of our repository; ends in "-dirty" if something was not committed.
        machine: that it ran on.
        versions: of the libraries.
        finished: date and time, UTC.
    """

    dataset: str
    name: str
    seed: int
    fingerprint: str
    rows: dict[str, Any]
    untrained: list[str]
    seconds: float
    peak_mb: float
    threads: int
    jobs: int
    commands: list[str]
    notes: dict[str, Any]
    commit: str
    machine: str
    versions: dict[str, str]
    finished: str
    cpu_seconds: float | None = None


def path_of(job: Job, folder: Path) -> Path:
    """The file of a job's result; a newer result takes the place of an older one."""
    return folder / job.dataset / f"{job.name}-{job.seed}.json"


def find(job: Job, marks: list[str], folder: Path, any_commit: bool) -> Result | None:
    """The result of a job, None if it was not measured yet.

    Args:
        job: the job.
        marks: fingerprints of all that decides it, any of which will do.
        folder: of the results.
        any_commit: whatever code and settings it was measured with.
    """
    path = path_of(job, folder)
    result = Result(**read_json(path)) if path.is_file() else None
    return result if result is not None and (any_commit or result.fingerprint in marks) else None


def recorded(plan: QualityPlan, folder: Path) -> list[Result]:
    """All measurements of the plan's jobs, in its order, with whatever code and settings."""
    found = [Result(**read_json(path)) for path in sorted(folder.glob("*/*.json"))]
    datasets, names = list(plan.datasets), [*plan.recipes, *plan.peers]
    known = [result for result in found if result.dataset in datasets and result.name in names]
    return sorted(known, key=lambda r: (datasets.index(r.dataset), names.index(r.name), r.seed))


def keep(result: Result, folder: Path) -> None:
    """Write a result; the last one of the same job makes room for it."""
    path = path_of(Job(result.dataset, result.name, result.seed, first=False), folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, stable(asdict(result)))


def stable(value: Any) -> Any:
    """The same with the keys of mappings in order and floats rounded."""
    rounded = json.loads(json.dumps(value), parse_float=lambda text: round(float(text), PLACES))
    return json.loads(json.dumps(rounded, sort_keys=True))
