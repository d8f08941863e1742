"""What a build tells: tables on the terminal, `report.json` in the bundle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from index.build.catalogue import Comparison
from index.build.inputs import RerankerChoice
from index.calibration.calibration import Calibration
from index.calibration.index_trials import ChosenIndex, IndexTrial
from index.search.factory import Plan

if TYPE_CHECKING:
    from index.build.export import ServedReranker  # these import torch, which a wrong input is refused before
    from index.build.model_recall import ModelRecall
    from towers import Funnel
    from towers.candidates.fallback_choice import FallbackChoice

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
        trials: the indexes that were tried, the one taken first; none where there was nothing to choose.
        floor: the index recall below which nothing would have been published.
        model_recall: what the run's evaluation says of the vectors, where there is one.
        sizes: bytes of each file or folder.
        seconds: wall time of each stage.
        origin: what is new in it, and what was taken over.
        reranker: whether the run's reranker is in it, and why.
        served: how it is run; None where there is none.
        funnel: what recalls, in words.
        newcomers: what answers those of whom nothing is known, and why, in words.
    """

    version: str
    path: Path
    items: int
    users: int
    dim: int
    plan: Plan
    calibration: Calibration
    trials: list[IndexTrial]
    floor: float
    model_recall: "ModelRecall | None"
    sizes: dict[str, int]
    seconds: dict[str, float]
    origin: Origin
    reranker: RerankerChoice
    served: "ServedReranker | None"
    funnel: str
    newcomers: str


def as_json(
    chosen: ChosenIndex,
    floor: float,
    model: "ModelRecall | None",
    origin: Origin,
    reranker: RerankerChoice,
    funnel: str,
    newcomers: "FallbackChoice",
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The contents of `report.json`: what is known once everything but the writing is done."""
    calibration = chosen.calibration
    return {
        "index": asdict(chosen.plan),
        "tried": {"items": chosen.tried_on, "indexes": [asdict(trial) for trial in chosen.trials]},
        "index_recall": {
            "k": calibration.parameters.k,
            "measured": calibration.recall,
            "target": calibration.target,
            "floor": floor,
            "target_reached": calibration.reached,
            "user_vectors": calibration.users,
        },
        "model_recall": None if model is None else asdict(model),
        "parameters": asdict(calibration.parameters),
        "curve": [asdict(point) for point in calibration.curve],
        "catalogue": asdict(origin),
        "reranker": {"published": reranker.folder is not None, "why": reranker.why, "compared": reranker.compared},
        "funnel": funnel,
        "newcomers": asdict(newcomers),
        "seconds": dict(seconds),
    }


def told_of(funnel: "Funnel | None", query_funnel: "Funnel | None") -> str:
    """What recalls, in words: the bundle's funnel, and where another one answers queries, that too."""
    if query_funnel is None:
        return _channels(funnel)
    return f"{_channels(funnel)}; for a query {_channels(query_funnel)}"


def _channels(funnel: "Funnel | None") -> str:
    if funnel is None:
        return "the towers alone"
    return f"{' + '.join(funnel.names)}{'' if funnel.ranker is None else ', ranked'}"


def show(result: BuildResult) -> None:
    """Print the result to stdout."""
    console = Console()
    if result.trials:
        console.print(_trials(result.trials, result.calibration.parameters.k))
    if len(result.calibration.curve) > 1:
        console.print(_curve(result.calibration))
    console.print(_summary(result))
    print(f"{result.path} is current")


def _summary(result: BuildResult) -> Table:
    calibration, parameters = result.calibration, result.calibration.parameters
    searched = "every vector compared"
    if len(calibration.curve) > 1:
        searched = (
            f"effort {parameters.nprobe}, {parameters.rescore:g} candidates an answer scored again "
            f"with {result.plan.vectors} vectors"
        )
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
    table.add_row("model recall", _model_recall(result.model_recall))
    table.add_row("recall", result.funnel)
    table.add_row("newcomers", result.newcomers)
    table.add_row("reranker", result.reranker.why)
    if result.served is not None:
        table.add_row("it runs in", f"{result.served.precision or 'float32'}: {result.served.why}")
    largest = [f"{name} {size / 1e6:,.1f}" for name, size in result.sizes.items() if size >= 100_000]
    table.add_row("size", f"{sum(result.sizes.values()) / 1e6:,.1f} MB ({', '.join(largest)})")
    table.add_row("time", ", ".join(f"{stage} {taken:.1f} s" for stage, taken in result.seconds.items()))
    return table


def _vectors(origin: Origin) -> str:
    kinds = {"computed": origin.computed, "of the bundle before": origin.reused, "of a killed build": origin.resumed}
    parts = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    return ", ".join(parts) + ("; centroids and codes of the bundle before" if origin.warm else "")


def _model_recall(found: "ModelRecall | None") -> str:
    if found is None:
        return "unknown: python -m towers.evaluate measures it"
    means = ", ".join(f"@{name.partition('@')[2]} {mean:.4f}" for name, mean in found.recall.items())
    return f"{means} on {found.users:,} users' {found.split} events ({found.scorer}, ranked exactly)"


def _trials(trials: list[IndexTrial], k: int) -> Table:
    """Every index that was tried: the one taken first."""
    table = Table(title="indexes tried, the one taken first", title_justify="left", box=SIMPLE)
    for name in ("index", "vectors"):
        table.add_column(name)
    for name in ("bytes an item", "effort", "re-scored", f"index recall@{k}", "ms a query"):
        table.add_column(name, justify="right")
    for trial in trials:
        row = [trial.factory, trial.vectors, f"{trial.bytes_per_item:,.0f}"]
        if trial.recall is None:
            table.add_row(*row, "", "", "over the budget", "")
            continue
        recall = f"{trial.recall:.3f}{'' if trial.reached else ', under the target'}"
        table.add_row(*row, str(trial.nprobe), f"{trial.rescore:g}k", recall, f"{trial.milliseconds:.2f}")
    return table


def _curve(calibration: Calibration) -> Table:
    """Index recall and time of the settings that recall more than every cheaper one."""
    parameters = calibration.parameters
    table = Table(title="how hard to search (* the choice)", title_justify="left", box=SIMPLE)
    for name in ("effort", "re-scored", f"index recall@{parameters.k}", "ms a query"):
        table.add_column(name, justify="right")
    for point in calibration.curve:
        mark = "* " if (point.nprobe, point.rescore) == (parameters.nprobe, parameters.rescore) else ""
        table.add_row(
            f"{mark}{point.nprobe}", f"{point.rescore:g}k", f"{point.recall:.3f}", f"{point.milliseconds:.2f}"
        )
    return table
