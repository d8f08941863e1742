"""Quality beside what it costs, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"ours": "#c2410c", "peer": "#1d4ed8"}
UNTRAINED = "#6b7280"
METRIC = "ndcg@10"


@dataclass(frozen=True)
class Mark:
    """One row of a table as a point.

    Attributes:
        label: what it is.
        kind: "ours" or "peer".
        seconds: wall-clock of each seed's training; None for what is not trained.
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
    """One panel a dataset: NDCG@10 against seconds of training; what is not trained stands as a line.

    Args:
        panels: title -> its rows.
        path: of the PNG.
    """
    figure, grid = plt.subplots(len(panels), 1, figsize=(9, 4.2 * len(panels)), squeeze=False)
    for axes, (title, marks) in zip(grid[:, 0], panels.items(), strict=True):
        _panel(axes, title, marks)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panel(axes: plt.Axes, title: str, marks: list[Mark]) -> None:
    trained = [mark for mark in marks if mark.seconds is not None]
    for mark in trained:
        assert mark.seconds is not None
        x, y = float(np.mean(mark.seconds)), float(np.mean(mark.quality))
        axes.errorbar(x, y, yerr=[[y - mark.low], [mark.high - y]], color=COLOURS[mark.kind], fmt="o", ms=6, capsize=3)
    times = [float(np.mean(mark.seconds)) for mark in trained if mark.seconds is not None] or [1.0]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.6, max(times) * 14)  # labels stand to the right of their points
    low, high = min(m.low for m in marks), max(m.high for m in marks)
    axes.set_ylim(max(low - 0.06 * (high - low), 0), high + 0.06 * (high - low))
    for mark in marks:
        if mark.seconds is None:
            axes.axhline(float(np.mean(mark.quality)), color=UNTRAINED, lw=0.8, ls=(0, (4, 3)), zorder=0)
    _label(axes, marks, max(times))
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_ylabel("NDCG@10")
    axes.set_xlabel("seconds of training, wall-clock (bars: 95 % interval over users; dashed: not trained)", fontsize=9)
    axes.grid(True, which="major", color="#e5e7eb", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: plt.Axes, marks: list[Mark], last: float) -> None:
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
    column = last * 2.4
    for mark, height in zip(ordered, heights, strict=True):
        colour = COLOURS[mark.kind] if mark.seconds is not None else UNTRAINED
        y = float(np.mean(mark.quality))
        text = f"{mark.label}  {y:.4f}"
        start = float(np.mean(mark.seconds)) if mark.seconds is not None else last * 1.5
        axes.plot([start, last * 2.2], [y, height], color=colour, lw=0.6, alpha=0.5, zorder=0)
        axes.text(column, height, text, color=colour, va="center", fontsize=9)
