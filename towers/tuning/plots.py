"""Plots of a sweep: the metric by setting, parallel coordinates, quality against cost."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.errors import UsageError
from towers.tuning.trials import TrialGroup

try:
    import matplotlib
    from matplotlib import colormaps
    from matplotlib.figure import Figure
except ImportError as error:
    raise UsageError("plots need matplotlib: pip install 'twotower[report]', or plots=false") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; markers differ too."""

MARKERS = "osD^vPX"
FEW = 12
"""Values of a setting that an axis shows each on a place of its own."""

LISTED = 24
"""Settings named beside the cost plot."""


def draw(groups: Sequence[TrialGroup], metric: str, x: str, by: str, folder: Path) -> list[Path]:
    """Draw what there is to be seen: plots by setting only where a setting varies, by cost only where it is known.

    Args:
        groups: best first.
        metric: they are compared by.
        x, by: settings preferred for the horizontal axis and the colours of the plot by setting.
        folder: for the PNG files.

    Returns:
        The files.
    """
    figures = {}
    if names := list(groups[0].settings):
        figures["by_setting"] = by_setting(groups, metric, *_axes(groups, names, x, by))
    if len(names) > 1:
        figures["parallel_coordinates"] = parallel_coordinates(groups, metric)
    if not all(math.isnan(group.cost("wall_seconds")) for group in groups):
        figures["quality_and_cost"] = quality_and_cost(groups, metric)
    paths = []
    with matplotlib.rc_context({"font.size": 10}):
        for name, figure in figures.items():
            paths.append(folder / f"{name}.png")
            figure.savefig(paths[-1], dpi=130, bbox_inches="tight")
    return paths


def _axes(groups: Sequence[TrialGroup], names: Sequence[str], x: str, by: str) -> tuple[str, str | None]:
    """The settings to show: the preferred ones if they vary, else the first that do."""
    across = x if x in names else next((name for name in names if name != by), names[0])
    few = [n for n in names if n != across and len({group.settings[n] for group in groups}) <= len(COLOURS)]
    return across, by if by in few else next(iter(few), None)


def by_setting(groups: Sequence[TrialGroup], metric: str, x: str, by: str | None) -> Figure:
    """Each group's mean and interval over one setting, coloured by another."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    kinds = _ordered({group.settings[by] for group in groups}) if by else [""]
    places, ticks = _places([group.settings[x] for group in groups])
    offsets = _dodge(groups, x, by, kinds, spread=ticks is not None)
    for number, kind in enumerate(kinds):
        chosen = [i for i, group in enumerate(groups) if not by or group.settings[by] == kind]
        axes.errorbar(
            [places[i] + offsets[i] for i in chosen],
            [groups[i].mean for i in chosen],
            yerr=[0.0 if math.isnan(groups[i].half_width) else groups[i].half_width for i in chosen],
            fmt=MARKERS[number], color=COLOURS[number], capsize=3, markersize=6, linewidth=1.2, label=kind,
        )  # fmt: skip
    if ticks is not None:
        axes.set_xticks(range(len(ticks)), ticks, rotation=0 if sum(map(len, ticks)) < 70 else 30)
        axes.set_xlim(-0.6, len(ticks) - 0.4)
    elif max(places) > 20 * min(places) > 0:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=f"validation {metric}")
    axes.set_title(f"{metric} by {x}" + (f" and {by}" if by else "") + ", mean and interval", loc="left")
    if by:
        axes.legend(title=by, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    _tidy(axes)
    return figure


def _places(values: Sequence[str]) -> tuple[list[float], list[str] | None]:
    """Where values stand on an axis, and the names of the places if each value has one of its own."""
    distinct = _ordered(set(values))
    numbers = [_number(value) for value in values]
    if len(distinct) > FEW and all(number is not None for number in numbers):
        return [number for number in numbers if number is not None], None
    return [float(distinct.index(value)) for value in values], distinct


def _dodge(groups: Sequence[TrialGroup], x: str, by: str | None, kinds: Sequence[str], spread: bool) -> list[float]:
    """Groups of one place side by side: kinds in order, and the groups of a kind best first."""
    if not spread:
        return [0.0] * len(groups)
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group.settings[x], []).append(i)
    offsets = [0.0] * len(groups)
    for here in members.values():
        here.sort(key=lambda i: kinds.index(groups[i].settings[by]) if by else 0)
        for i, place in zip(here, np.linspace(-0.32, 0.32, len(here) + 2)[1:-1], strict=True):
            offsets[i] = float(place)
    return offsets


def parallel_coordinates(groups: Sequence[TrialGroup], metric: str) -> Figure:
    """A vertical axis a setting and one for the metric; a line a group, brighter the better."""
    names = list(groups[0].settings)
    figure = Figure(figsize=(max(7.0, 1.9 * (len(names) + 1)), 5), layout="constrained")
    axes = figure.add_subplot()
    heights = []
    for place, name in enumerate(names):
        values = [group.settings[name] for group in groups]
        column, labels = _heights(values)
        heights.append(column)
        _axis(axes, place, labels)
    means = [group.mean for group in groups]
    low, high = min(means), max(means)
    heights.append([0.5 if high == low else (mean - low) / (high - low) for mean in means])
    _axis(axes, len(names), [(at, f"{low + at * (high - low):.4f}") for at in (0.0, 0.25, 0.5, 0.75, 1.0)])
    shades = colormaps["viridis"].reversed()
    for i in range(len(groups) - 1, -1, -1):  # the best on top
        axes.plot(
            [column[i] for column in heights],
            color=shades(0.05 + 0.95 * heights[-1][i]), linewidth=3.0 if i == 0 else 1.4, alpha=0.9,
        )  # fmt: skip
    axes.set_xticks(range(len(names) + 1), [*(name.replace(".", ".\n") for name in names), f"validation\n{metric}"])
    axes.tick_params(axis="x", length=0, pad=12)
    axes.set_yticks([])
    axes.set(xlim=(-0.3, len(names) + 0.45), ylim=(-0.06, 1.06))
    axes.set_title(f"settings and {metric}: darker is better, the best is thick", loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def _heights(values: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights in 0…1 of a setting's values, and the labels of its axis."""
    places, names = _places(values)
    if names is not None:
        top = max(len(names) - 1, 1)
        return [place / top for place in places], [(i / top, name) for i, name in enumerate(names)]
    logarithmic = min(places) > 0 and max(places) > 8 * min(places)
    scaled = np.log(places) if logarithmic else np.array(places)
    low, high = float(scaled.min()), float(scaled.max())
    marks = [low + at * (high - low) for at in (0.0, 0.25, 0.5, 0.75, 1.0)]
    labels = [((m - low) / (high - low), f"{math.exp(m) if logarithmic else m:.3g}") for m in marks]
    return [(float(value) - low) / (high - low) for value in scaled], labels


def _axis(axes: "Axes", place: int, labels: Sequence[tuple[float, str]]) -> None:
    axes.axvline(place, color="0.6", linewidth=0.8, zorder=0)
    for height, label in labels:
        axes.annotate(
            label, (place, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}, zorder=5,
        )  # fmt: skip


def quality_and_cost(groups: Sequence[TrialGroup], metric: str) -> Figure:
    """The metric against the seconds a training took; numbers are ranks, named beside the plot."""
    figure = Figure(figsize=(10.5, max(4.8, 0.2 * min(len(groups), LISTED) + 1)), layout="constrained")
    axes = figure.add_subplot()
    costs = [group.cost("wall_seconds") for group in groups]
    for close, marker, colour, label in (
        (True, "o", COLOURS[0], "within noise of the best"),
        (False, "s", COLOURS[1], "worse than the best"),
    ):
        chosen = [i for i, group in enumerate(groups) if group.close is close]
        axes.errorbar(
            [costs[i] for i in chosen],
            [groups[i].mean for i in chosen],
            yerr=[0.0 if math.isnan(groups[i].half_width) else groups[i].half_width for i in chosen],
            fmt=marker, color=colour, ecolor="0.8", elinewidth=1, markersize=6, label=label,
        )  # fmt: skip
    known = [cost for cost in costs if not math.isnan(cost)]
    if max(known) > 20 * min(known):
        axes.set_xscale("log")
    axes.set(xlabel="training time, wall clock [s], mean over seeds", ylabel=f"validation {metric}")
    axes.margins(x=0.08)
    axes.set_title(f"{metric} and the cost of training", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.13), ncols=2, frameon=False)
    _tidy(axes)
    _number_points(figure, axes, [(cost, group.mean) for cost, group in zip(costs, groups, strict=True)])
    listed = [f"{rank}  {', '.join(g.settings.values()) or g.label}" for rank, g in enumerate(groups[:LISTED], start=1)]
    if len(groups) > LISTED:
        listed.append(f"… {len(groups) - LISTED} more in report.md")
    heading = "#  " + ", ".join(groups[0].settings)
    axes.text(
        1.02, 1, "\n".join([heading, *listed]), transform=axes.transAxes, va="top", fontsize=8.5, linespacing=1.35
    )
    return figure


def _number_points(figure: Figure, axes: "Axes", points: Sequence[tuple[float, float]]) -> None:
    """Write each point's rank beside it, on the first of eight sides where nothing stands yet."""
    figure.draw_without_rendering()  # settles the axes, so that distances in pixels are true
    pixels = [tuple(axes.transData.transform(point)) for point in points]
    taken = list(pixels)
    for rank, (point, (left, up)) in enumerate(zip(points, pixels, strict=True), start=1):
        if any(math.isnan(value) for value in point):
            continue
        sides = [(r * math.cos(a), r * math.sin(a)) for r in (14, 22, 30) for a in np.arange(8) * math.pi / 4]
        clear = [
            min(math.hypot(0.7 * (left + x - a), up + y - b) for a, b in taken) for x, y in sides
        ]  # ranks are wide
        best = next((i for i, distance in enumerate(clear) if distance >= 9.5), int(np.argmax(clear)))
        x, y = sides[best]
        taken.append((left + x, up + y))
        scale = 72 / figure.dpi
        axes.annotate(
            str(rank), point, xytext=(x * scale, y * scale), textcoords="offset points", ha="center", va="center",
            fontsize=8.5,
        )  # fmt: skip


def _ordered(values: set[str]) -> list[str]:
    """Numbers by size, then words by the alphabet."""

    def key(value: str) -> tuple[float, str]:
        number = _number(value)
        return (math.inf if number is None else number, value)

    return sorted(values, key=key)


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _tidy(axes: "Axes") -> None:
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
