"""The report of a build: tables on the terminal, `report.json` in the bundle."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from index.build.catalogue import Comparison
from index.build.inputs import CrossEncoderChoice
from index.calibration.calibration import Calibration
from index.calibration.index_trials import IndexTrial
from index.search.factory import Plan

if TYPE_CHECKING:
    from index.build.export import ServedCrossEncoder  # these import torch, which a wrong input is refused before
    from index.build.model_recall import ModelRecall
    from towers import Funnel
    from towers.candidates import FallbackChoice

REPORT = "report.json"


@dataclass(frozen=True)
class Origin:
    """Where a bundle's contents come from.

    Attributes:
        comparison: difference from the catalogue before; None where there was none.
        computed, reused, resumed: items encoded by this build, taken from the bundle before, taken from the file of an
            interrupted build.
        warm: whether the index has the centroids and codes of the bundle before.
    """

    comparison: Comparison | None
    computed: int
    reused: int
    resumed: int
    warm: bool


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """Decisions of a build, and their reasons: all that is known once everything but the writing is done.

    Attributes:
        plan: the index and the reason for it.
        calibration: how it is searched and the recall that this reaches.
        trials: the indexes that were tried, the one taken first; none where there was nothing to choose.
        tried_on: items that they were tried on.
        floor: the index recall below which nothing is published.
        model_recall: of the run's evaluation, for the vectors that are indexed; None where there is none.
        origin: which contents are new, and which were taken over.
        cross_encoder: whether the run's cross-encoder is in it, and why.
        funnel: the channels that recall, in words.
        users_without_history: the list that answers them, and why.
        seconds: wall time of each stage.
    """

    plan: Plan
    calibration: Calibration
    trials: list[IndexTrial]
    tried_on: int
    floor: float
    model_recall: "ModelRecall | None"
    origin: Origin
    cross_encoder: CrossEncoderChoice
    funnel: str
    users_without_history: "FallbackChoice"
    seconds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """The contents of `report.json`."""
        calibration, cross_encoder = self.calibration, self.cross_encoder
        return {
            "index": asdict(self.plan),
            "tried": {"items": self.tried_on, "indexes": [asdict(trial) for trial in self.trials]},
            "index_recall": {
                "k": calibration.parameters.k,
                "measured": calibration.recall,
                "target": calibration.target,
                "floor": self.floor,
                "target_reached": calibration.reached,
                "user_vectors": calibration.users,
            },
            "model_recall": None if self.model_recall is None else asdict(self.model_recall),
            "parameters": asdict(calibration.parameters),
            "curve": [asdict(point) for point in calibration.curve],
            "catalogue": asdict(self.origin),
            "cross_encoder": {
                "published": cross_encoder.folder is not None,
                "why": cross_encoder.why,
                "compared": {kind: asdict(gain) for kind, gain in cross_encoder.compared.items()},
            },
            "funnel": self.funnel,
            "users_without_history": asdict(self.users_without_history),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True, kw_only=True)
class BuildResult(BuildReport):
    """The bundle that was built, and the reasons for it.

    Attributes:
        version, path: name and folder of the bundle.
        items, users, dim: its sizes.
        sizes: bytes of each file or folder.
        served: how the cross-encoder is run; None where there is none.
    """

    version: str
    path: Path
    items: int
    users: int
    dim: int
    sizes: dict[str, int]
    served: "ServedCrossEncoder | None"


def channels_of(funnel: "Funnel | None", query_funnel: "Funnel | None") -> str:
    """The channels that recall, in words, and where others answer queries, those too."""
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
    """The bundle, verdict first: index recall, then the parts that answer, then sizes and times."""
    parameters, plan = result.calibration.parameters, result.plan
    table = Table(title="bundle", title_justify="left", box=SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row(f"index recall@{parameters.k}", _index_recall(result))
    table.add_row("model recall", _model_recall(result.model_recall))
    table.add_row("index", f"{plan.factory}: {plan.reason}")
    table.add_row("search", _search(result))
    table.add_row("recall", result.funnel)
    table.add_row("cross-encoder", result.cross_encoder.why)
    if result.served is not None:
        table.add_row("its precision", f"{result.served.precision or 'float32'}: {result.served.why}")
    table.add_row("without history", result.users_without_history.why)
    table.add_row("items", f"{result.items:,} vectors of dimension {result.dim}")
    if result.origin.comparison is not None:
        table.add_row("changes", str(result.origin.comparison))
    table.add_row("vectors", _vectors(result.origin))
    table.add_row("users", f"{result.users:,} histories")
    largest = [f"{name} {size / 1e6:,.1f}" for name, size in result.sizes.items() if size >= 100_000]
    table.add_row("size", f"{sum(result.sizes.values()) / 1e6:,.1f} MB ({', '.join(largest)})")
    table.add_row("time", ", ".join(f"{stage} {taken:.1f} s" for stage, taken in result.seconds.items()))
    return table


def _index_recall(result: BuildResult) -> str:
    calibration = result.calibration
    return f"{calibration.recall:.4f} against exact search on {calibration.users:,} users (floor {result.floor:g})"


def _search(result: BuildResult) -> str:
    parameters = result.calibration.parameters
    if len(result.calibration.curve) <= 1:
        return "every vector compared"
    return (
        f"effort {parameters.nprobe}, {parameters.rescore:g} candidates an answer scored again "
        f"with {result.plan.vectors} vectors"
    )


def _vectors(origin: Origin) -> str:
    kinds = {"computed": origin.computed, "of the bundle before": origin.reused, "of a killed build": origin.resumed}
    parts = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    return ", ".join(parts) + ("; centroids and codes of the bundle before" if origin.warm else "")


def _model_recall(recall: "ModelRecall | None") -> str:
    if recall is None:
        return "unknown: python -m towers.evaluate measures it"
    means = ", ".join(f"@{name.partition('@')[2]} {mean:.4f}" for name, mean in recall.recall.items())
    return f"{means} on {recall.users:,} users' {recall.split} events ({recall.scorer}, ranked exactly)"


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
