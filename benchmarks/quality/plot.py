"""Quality beside its cost, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

COLOURS = {"ours": "#c2410c", "peer": "#1d4ed8"}
UNTRAINED = "#6b7280"
METRIC = "ndcg@10"


@dataclass(frozen=True)
class Mark:
    """One row of a table as a point.

    Attributes:
        label: its name.
        kind: "ours" or "peer".
        seconds: of the processor for each seed's training; None where nothing is trained.
        quality: NDCG@10 of each seed.
        low, high: interval over users.
    """

    label: str
    kind: str
    seconds: Sequence[float] | None
    quality: Sequence[float]
    low: float
    high: float


def draw(panels: dict[str, list[Mark]], path: Path) -> None:
    """One panel a dataset: NDCG@10 against processor seconds of training; untrained scorers are lines.

    Args:
        panels: title -> its rows.
        path: of the PNG.
    """
    figure, grid = plt.subplots(len(panels), 1, figsize=(11, 4.2 * len(panels)), squeeze=False)
    for axes, (title, marks) in zip(grid[:, 0], panels.items(), strict=True):
        _panel(axes, title, marks)
    tall = 4.2 * len(panels)  # inches; names stand at the right
    figure.subplots_adjust(left=0.08, right=0.6, top=1 - 0.35 / tall, bottom=0.6 / tall, hspace=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axes: Axes, title: str, marks: list[Mark]) -> None:
    trained = [mark for mark in marks if mark.seconds is not None]
    for mark in trained:
        assert mark.seconds is not None
        x, y = float(np.mean(mark.seconds)), float(np.mean(mark.quality))
        axes.errorbar(x, y, yerr=[[y - mark.low], [mark.high - y]], color=COLOURS[mark.kind], fmt="o", ms=6, capsize=3)
    times = [float(np.mean(mark.seconds)) for mark in trained if mark.seconds is not None] or [1.0]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(min(times) / 1.6, max(times) * 1.6)
    low, high = min(m.low for m in marks), max(m.high for m in marks)
    axes.set_ylim(max(low - 0.06 * (high - low), 0), high + 0.06 * (high - low))
    for mark in marks:
        if mark.seconds is None:
            axes.axhline(float(np.mean(mark.quality)), color=UNTRAINED, lw=0.8, ls=(0, (4, 3)), zorder=0)
    _label(axes, marks)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_ylabel("NDCG@10")
    axes.set_xlabel("processor seconds of training (bars: 95 % interval; dashed: untrained)", fontsize=9)
    axes.grid(True, which="major", color="#e5e7eb", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: Axes, marks: list[Mark]) -> None:
    """Names in a column at the right, in the order of quality, none upon another, each with a line to its point."""
    bottom, top = axes.get_ylim()
    gap = (top - bottom) * 0.062
    ordered = sorted(marks, key=lambda mark: float(np.mean(mark.quality)))
    heights: list[float] = []
    for mark in ordered:
        wish = float(np.mean(mark.quality))
        heights.append(max(wish, heights[-1] + gap) if heights else max(wish, bottom + gap / 2))
    overshoot = max(heights[-1] - (top - gap / 2), 0.0)
    for place in reversed(range(len(heights))):  # push down what went over the top
        above = heights[place + 1] - gap if place + 1 < len(heights) else heights[place] - overshoot
        heights[place] = min(heights[place], above)
    beside = axes.get_yaxis_transform()  # x from 0 to 1 across the panel, y as in the data
    for mark, height in zip(ordered, heights, strict=True):
        colour = COLOURS[mark.kind] if mark.seconds is not None else UNTRAINED
        y = float(np.mean(mark.quality))
        axes.annotate(
            f"{mark.label}  {y:.4f}",
            (1.0, y) if mark.seconds is None else (float(np.mean(mark.seconds)), y),
            xycoords=beside if mark.seconds is None else "data",
            xytext=(1.04, height),
            textcoords=beside,
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "alpha": 0.5, "shrinkB": 3, "relpos": (0, 0.5)},
        )
