"""Index recall against speed, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks.ann.plan import MeasurePlan

COLOURS = {"ours": "#c2410c", "faiss": "#1d4ed8", "other": "#4b5563"}
MARKERS = "osD^vP*X"
LOWEST = 0.85  # recall below which nobody wants to look


@dataclass(frozen=True)
class Curve:
    """One contender.

    Attributes:
        label: what it is.
        kind: "ours", "faiss" or "other".
        recalls: index recall of each setting.
        speeds: queries per CPU-second of each.
        bytes_per_vector: of everything a search may touch.
    """

    label: str
    kind: str
    recalls: Sequence[float]
    speeds: Sequence[float]
    bytes_per_vector: float


def draw(curves: list[Curve], measure: MeasurePlan, path: Path) -> None:
    """A line for each contender, up and to the right is better.

    Args:
        curves: the contenders.
        measure: what was measured; the recall that is wanted is drawn as a line.
        path: of the PNG.
    """
    figure, axes = plt.subplots(figsize=(11, 6))
    markers = dict.fromkeys(COLOURS, 0)
    for curve in curves:
        marker = MARKERS[markers[curve.kind] % len(MARKERS)]
        markers[curve.kind] += 1
        points = sorted((r, s) for r, s in zip(curve.recalls, curve.speeds, strict=True) if r >= LOWEST)
        axes.plot(
            [r for r, _ in points],
            [s for _, s in points],
            color=COLOURS[curve.kind],
            marker=marker,
            ms=6,
            lw=2.4 if curve.kind == "ours" else 1.1,
            zorder=3 if curve.kind == "ours" else 2,
            label=f"{curve.label} ({curve.bytes_per_vector:,.0f} bytes)",
        )
    _dress(axes, measure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def _dress(axes: Axes, measure: MeasurePlan) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axvline(measure.recall_floor, color="#9ca3af", lw=0.8, ls=(0, (4, 3)), zorder=0)
    axes.set_xlabel(
        f"index recall@{measure.k} on user vectors (dashed: the least that is wanted); up and to the right is better"
    )
    axes.set_ylabel(f"queries per CPU-second, batches of {max(measure.batches)}, one thread")
    axes.grid(True, which="major", color="#e5e7eb", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
