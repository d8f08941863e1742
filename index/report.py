"""What a build tells: a table on the terminal, `report.json` in the bundle."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from index.calibrate import Calibration, Point
from index.catalogue import Comparison
from index.factory import Plan

REPORT = "report.json"


@dataclass(frozen=True)
class Origin:
    """Where a bundle's contents come from.

    Attributes:
        comparison: what differs from the catalogue before; None where there was none.
        computed, reused, resumed: items encoded by this build, taken from the bundle before, found in the file of an
            interrupted build.
        warm: whether the index has the centroids and codes of the bundle before.
    """

    comparison: Comparison | None
    computed: int
    reused: int
    resumed: int
    warm: bool


@dataclass(frozen=True)
class BuildResult:
    """What was built, and why so.

    Attributes:
        version, path: name and folder of the bundle.
        items, users, dim: its sizes.
        plan: the index and the reason for it.
        calibration: how it is searched and what that reaches.
        floor: the index recall below which nothing would have been published.
        sizes: bytes of each file or folder.
        seconds: wall time of each stage.
        origin: what is new in it, and what was taken over.
    """

    version: str
    path: Path
    items: int
    users: int
    dim: int
    plan: Plan
    calibration: Calibration
    floor: float
    sizes: dict[str, int]
    seconds: dict[str, float]
    origin: Origin


def as_json(
    plan: Plan, calibration: Calibration, floor: float, seconds: dict[str, float], origin: Origin
) -> dict[str, Any]:
    """The contents of `report.json`: what is known once everything but the writing is done."""
    return {
        "index": asdict(plan),
        "index_recall": {
            "k": calibration.parameters.k,
            "measured": calibration.recall,
            "floor": floor,
            "target_reached": calibration.reached,
            "user_vectors": calibration.users,
        },
        "parameters": asdict(calibration.parameters),
        "curve": [asdict(point) for point in calibration.curve],
        "catalogue": asdict(origin),
        "seconds": seconds,
    }


def show(result: BuildResult) -> None:
    """Print the result to stdout."""
    console = Console()
    if len(result.calibration.curve) > 1:
        console.print(_curve(result.calibration))
    console.print(_summary(result))
    print(f"{result.path} is current")


def _summary(result: BuildResult) -> Table:
    calibration, parameters = result.calibration, result.calibration.parameters
    searched = "every vector compared"
    if len(calibration.curve) > 1:
        searched = f"{parameters.nprobe} lists visited, {parameters.rescore:g} candidates re-scored an answer"
    table = Table(title="what was built", title_justify="left", box=SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("items", f"{result.items:,} vectors of dimension {result.dim}")
    if result.origin.comparison is not None:
        table.add_row("changes", str(result.origin.comparison))
    table.add_row("vectors", _vectors(result.origin))
    table.add_row("users", f"{result.users:,} histories")
    table.add_row("index", f"{result.plan.factory}: {result.plan.reason}")
    table.add_row("search", searched)
    table.add_row(
        f"index recall@{parameters.k}",
        f"{calibration.recall:.4f} against exact search on {calibration.users:,} users (floor {result.floor:g})",
    )
    largest = [f"{name} {size / 1e6:,.1f}" for name, size in result.sizes.items() if size >= 100_000]
    table.add_row("size", f"{sum(result.sizes.values()) / 1e6:,.1f} MB ({', '.join(largest)})")
    table.add_row("time", ", ".join(f"{stage} {taken:.1f} s" for stage, taken in result.seconds.items()))
    return table


def _vectors(origin: Origin) -> str:
    kinds = {"computed": origin.computed, "of the bundle before": origin.reused, "of a killed build": origin.resumed}
    parts = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    return ", ".join(parts) + ("; centroids and codes of the bundle before" if origin.warm else "")


def _curve(calibration: Calibration) -> Table:
    """Index recall and time by lists visited (down) and candidates re-scored (across)."""
    chosen = (calibration.parameters.nprobe, calibration.parameters.rescore)
    points = {(point.nprobe, point.rescore): point for point in calibration.curve}
    across = sorted({rescore for _, rescore in points})
    title = f"index recall@{calibration.parameters.k}, ms a query (* the choice)"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("lists visited", justify="right")
    for rescore in across:
        table.add_column(f"re-score {rescore:g}k", justify="right")
    for nprobe in sorted({nprobe for nprobe, _ in points}):
        cells = [_cell(points[nprobe, rescore], (nprobe, rescore) == chosen) for rescore in across]
        table.add_row(str(nprobe), *cells)
    return table


def _cell(point: Point, chosen: bool) -> str:
    return f"{'* ' if chosen else ''}{point.recall:.3f} {point.milliseconds:5.2f}"
