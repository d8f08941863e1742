"""What was measured, one file for each training, so that an interrupted benchmark goes on where it was."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.plan import Job
from data_prep.files import read_json, write_json


@dataclass(frozen=True)
class Result:
    """One training and what came of it.

    Attributes:
        dataset, name, seed: as in the job.
        fingerprint: of everything that decides it.
        rows: label on the page -> what `towers.report.summarize` says.
        untrained: labels among them that took no training.
        seconds, peak_mb: of the training command: wall-clock time, largest resident set in MiB.
        threads, jobs: numerical threads of the command, commands that ran side by side.
        commands: what was typed.
        notes: whatever else is known.
        commit: of our repository; ends in "-dirty" if something was not committed.
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
    versions: dict[str, str]
    finished: str


def path_of(job: Job, mark: str, folder: Path) -> Path:
    """The file of a result."""
    return folder / f"{job.dataset}-{job.name}-{job.seed}-{mark}.json"


def find(job: Job, mark: str, folder: Path, any_commit: bool) -> Result | None:
    """The result of a job, None if it was not measured yet.

    Args:
        job: the job.
        mark: fingerprint of what decides it.
        folder: of the results.
        any_commit: take the newest of this recipe and seed, whatever code and settings it was measured with.
    """
    exact = path_of(job, mark, folder)
    if exact.is_file():
        return Result(**read_json(exact))
    found = [Result(**read_json(path)) for path in folder.glob(f"{job.dataset}-{job.name}-{job.seed}-*.json")]
    return max(found, key=lambda result: result.finished) if found and any_commit else None


def keep(result: Result, folder: Path) -> None:
    """Write a result."""
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(result.dataset, result.name, result.seed, first=False)
    write_json(path_of(job, result.fingerprint, folder), asdict(result))
