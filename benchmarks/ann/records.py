"""The measurements, one small file that belongs to the repository."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.records import stable
from data_prep.files import read_json, write_json

RESULTS = Path(__file__).with_name("results")
FILE = "ann.json"


@dataclass(frozen=True)
class Rate:
    """How fast a setting is; medians over the turns.

    Attributes:
        setting: its position among the contender's.
        batch: queries searched at once.
        threads: that search side by side.
        per_cpu_second: queries per second of processor time of all threads.
        per_second: queries per second of the clock.
    """

    setting: int
    batch: int
    threads: int
    per_cpu_second: float
    per_second: float


@dataclass(frozen=True)
class Contender:
    """One index and all its settings.

    Attributes:
        build_cpu_seconds: of training and adding.
        bytes_per_vector: of everything a search may touch.
        settings: tried, the least work first.
        recalls: index recall@k of each.
        rates: of each with the largest batch on one thread, and of the table's setting with all batches and threads.
    """

    build_cpu_seconds: float
    bytes_per_vector: float
    settings: list[dict[str, Any]]
    recalls: list[float]
    rates: list[Rate]

    def rate(self, setting: int, batch: int, threads: int) -> Rate:
        """The rate measured of a setting."""
        return next(r for r in self.rates if (r.setting, r.batch, r.threads) == (setting, batch, threads))

    def chosen(self, floor: float, batch: int) -> int:
        """Place of the fastest setting on one thread that reaches a recall; the best one where none does."""
        positions = range(len(self.settings))
        good = [position for position in positions if self.recalls[position] >= floor]
        if not good:
            return max(positions, key=lambda position: self.recalls[position])
        return max(good, key=lambda position: self.rate(position, batch, 1).per_cpu_second)


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        contenders: by name.
        vectors, dim, queries: how many, how long, how many are measured with.
        command: what was typed.
        commit: of our repository; ends in "-dirty" if something was not committed.
        machine: that it ran on.
        versions: of the libraries.
        finished: date and time, UTC.
    """

    contenders: dict[str, Contender]
    vectors: int
    dim: int
    queries: int
    command: str
    commit: str
    machine: str
    versions: dict[str, str]
    finished: str


def keep(results: Results, folder: Path) -> None:
    """Write the file; the last run makes room for this one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, stable(asdict(results)))


def recorded(folder: Path) -> Results | None:
    """The measurements, None if there are none."""
    path = folder / FILE
    if not path.is_file():
        return None
    raw = read_json(path)
    contenders = {
        name: Contender(**(found | {"rates": [Rate(**rate) for rate in found["rates"]]}))
        for name, found in raw["contenders"].items()
    }
    return Results(**(raw | {"contenders": contenders}))
