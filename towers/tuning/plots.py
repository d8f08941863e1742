"""Plots of a sweep: the metric by setting, parallel coordinates, quality against cost."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_prep.errors import UsageError
from towers.tuning.trials import TrialGroup

try:
    import matplotlib
    import optuna
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import create_trial
    from optuna.visualization.matplotlib import plot_parallel_coordinate
except ImportError as error:
    raise UsageError("plots need matplotlib and optuna: pip install 'twotower[report]', or plots=false") from error

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
    """A vertical axis a setting and one for the metric; a line a group, darker the better. Optuna's own chart."""
    axes = {name: _distribution([group.settings[name] for group in groups]) for name in groups[0].settings}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for group in groups:
        values = {
            name: value if isinstance(axes[name], CategoricalDistribution) else float(value)
            for name, value in group.settings.items()
        }
        study.add_trial(create_trial(params=values, distributions=axes, value=group.mean))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        drawn = plot_parallel_coordinate(study, target_name=f"validation {metric}")
    figure = drawn.figure
    assert isinstance(figure, Figure)
    figure.set_size_inches(max(7.0, 1.9 * (len(axes) + 2)), 5)
    return figure


def _distribution(values: Sequence[str]) -> BaseDistribution:
    """The axis of a setting: numbers in proportion (logarithmic where they differ widely), words in a row."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) < len(values):
        return CategoricalDistribution(_ordered(set(values)))
    low, high = min(numbers), max(numbers)
    return FloatDistribution(low, high, log=low > 0 and high > 8 * low)


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
    for rank, (cost, group) in enumerate(zip(costs, groups, strict=True), start=1):
        if not math.isnan(cost):
            axes.annotate(str(rank), (cost, group.mean), (6, 6), textcoords="offset points", fontsize=8.5)
    listed = [f"{rank}  {', '.join(g.settings.values()) or g.label}" for rank, g in enumerate(groups[:LISTED], start=1)]
    if len(groups) > LISTED:
        listed.append(f"… {len(groups) - LISTED} more in report.md")
    heading = "#  " + ", ".join(groups[0].settings)
    axes.text(
        1.02, 1, "\n".join([heading, *listed]), transform=axes.transAxes, va="top", fontsize=8.5, linespacing=1.35
    )
    return figure


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
