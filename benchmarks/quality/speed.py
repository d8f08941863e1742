"""Measurements of `benchmarks.training_speed`: its file, and its section of the page."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.quality.records import stable
from benchmarks.quality.tables import table
from data_prep.files import read_json, write_json

FILE = "training-speed.json"  # beside the folders of the quality benchmark's results
PEER = "RecBole SASRec"
Speed = dict[str, float]


@dataclass(frozen=True)
class Speeds:
    """Training speed of ours and of a peer.

    Attributes:
        turns: who -> for each turn `steps` and items `predicted` a second, `sequences` and `positions` a step.
        settings: sizes that all share: rows, length, dim, layers, heads; steps that were timed, threads.
        command: as it was typed.
        commit, machine, versions, finished: as in a `Result`.
    """

    turns: dict[str, list[Speed]]
    settings: dict[str, int]
    command: str
    commit: str
    machine: str
    versions: dict[str, str]
    finished: str

    @property
    def medians(self) -> dict[str, Speed]:
        """Over the turns, fastest first."""
        found = {who: {k: median(turn[k] for turn in turns) for k in turns[0]} for who, turns in self.turns.items()}
        return dict(sorted(found.items(), key=lambda one: -one[1]["steps"]))

    def ratio(self, who: str, figure: str) -> float:
        """Median of somebody's figure over the peer's."""
        return self.medians[who][figure] / self.medians[PEER][figure]


def read_speeds(folder: Path) -> Speeds | None:
    """The measurements, None if there are none."""
    path = folder / FILE
    return Speeds(**read_json(path)) if path.is_file() else None


def keep_speeds(speeds: Speeds, folder: Path) -> Path:
    """Write the file of a folder of results; says which."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, stable(asdict(speeds)))
    return folder / FILE


def speed_section(speeds: Speeds) -> Iterable[str]:
    """Paragraphs of the page."""
    s, number = speeds.settings, len(next(iter(speeds.turns.values())))
    yield "## Speed of training"
    yield f"    {speeds.command}"
    yield (
        f"times training steps on Beauty in processes of their own that take turns; medians of {number} turns of "
        f"{s['steps']} steps, {s['threads']} threads. Every step of everybody has {s['rows']} sequences of up to "
        f"{s['length']} positions; width {s['dim']}, {s['layers']} layers, {s['heads']} heads, inner width "
        f"{2 * s['dim']}. RecBole makes n − 1 sequences of a history of n, pads each to {s['length']} positions and "
        "predicts one item of each under its own loss, the full softmax. Ours predicts at every position and packs "
        "histories of like length, so that a step reads the positions it needs; padded, it reads as many as RecBole. "
        "Ours also reads the items' texts, which RecBole has not; its queries are left out."
    )
    header = [
        "",
        "steps/s",
        "over RecBole",
        "items predicted/s",
        "over RecBole",
        "sequences a step",
        "positions a step",
    ]
    lines = [
        [
            who if who == PEER else f"**{who}**",
            f"{found['steps']:.2f}",
            f"{speeds.ratio(who, 'steps'):.2f}",
            f"{found['predicted']:,.0f}",
            f"{speeds.ratio(who, 'predicted'):.1f}",
            f"{found['sequences']:,.0f}",
            f"{found['positions']:,.0f}",
        ]
        for who, found in speeds.medians.items()
    ]
    yield table(header, lines)
    libraries = ", ".join(f"{name} {version}" for name, version in speeds.versions.items())
    yield f"{speeds.machine}; {libraries}; commit {speeds.commit}; {speeds.finished[:10]}."
