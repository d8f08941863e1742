"""Plots of a sweep: the metric by setting, parallel coordinates, quality against cost."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data_prep.errors import UsageError
from towers.tuning.table import group_frame
from towers.tuning.trials import TrialGroup

try:
    import optuna
    import seaborn as sns
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import create_trial
    from optuna.visualization.matplotlib import plot_parallel_coordinate
    from seaborn import objects as so
except ImportError as error:
    raise UsageError("plots need seaborn and optuna: pip install 'twotower[report]', or plots=false") from error

FEW = 12
"""Values of a setting that an axis shows each on a place of its own."""

MARKERS = list("osD^vPX")
"""As many values of a setting can be told apart by marker and colour."""

LISTED = 24
"""Groups named below the cost plot."""

STYLE = {**sns.axes_style("ticks"), "axes.grid": True, "axes.grid.axis": "y", "axes.spines.top": False}
STYLE |= {"grid.color": "0.9", "axes.spines.right": False, "axes.titlelocation": "left"}


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
    frame = group_frame(groups, metric)
    frame = frame.fillna({"low": frame[metric], "high": frame[metric]})  # a group without an interval is a point
    figures = {}
    if names := list(groups[0].settings):
        figures["by_setting"] = by_setting(frame, metric, *_axes(frame, names, x, by))
    if len(names) > 1:
        figures["parallel_coordinates"] = parallel_coordinates(frame, metric, names)
    if frame["wall_seconds"].notna().any():
        figures["quality_and_cost"] = quality_and_cost(frame, metric, names)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=130, bbox_inches="tight")
    return paths


def _axes(frame: pd.DataFrame, names: Sequence[str], x: str, by: str) -> tuple[str, str | None]:
    """The settings to show: the preferred ones if they vary, else the first that do."""
    across = x if x in names else next((name for name in names if name != by), names[0])
    few = [name for name in names if name != across and frame[name].nunique() <= len(MARKERS)]
    return across, by if by in few else next(iter(few), None)


def by_setting(frame: pd.DataFrame, metric: str, x: str, by: str | None) -> Figure:
    """Each group's mean and interval over one setting, coloured by another; groups of one place side by side."""
    places, shifts = _ordered(frame[x]), [so.Dodge(empty="fill")]
    scales = _told_apart(_ordered(frame[by])) if by else {}
    scales["x"] = so.Nominal(order=places)
    if len(places) > FEW and _numbers(frame[x]).notna().all():
        frame, shifts = frame.assign(**{x: _numbers(frame[x])}), []
        scales["x"] = _proportional(frame[x])
    plot = so.Plot(frame, x=x, y=metric, ymin="low", ymax="high", **({"color": by, "marker": by} if by else {}))
    plot = plot.add(so.Range(), *shifts, group="rank").add(so.Dot(), *shifts, group="rank").scale(**scales)
    title = f"{metric} by {x}" + (f" and {by}" if by else "") + ", mean and interval"
    figure = _drawn(plot.label(y=f"validation {metric}", title=title))
    if shifts and sum(map(len, places)) > 70:
        figure.autofmt_xdate(rotation=30)
    return figure


def parallel_coordinates(frame: pd.DataFrame, metric: str, settings: Sequence[str]) -> Figure:
    """A vertical axis a setting and one for the metric; a line a group, darker the better. Optuna's own chart."""
    axes = {name: _distribution(frame[name]) for name in settings}
    words = [name for name in settings if isinstance(axes[name], CategoricalDistribution)]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for row in frame.to_dict("records"):
        values = {name: row[name] if name in words else float(row[name]) for name in settings}
        study.add_trial(create_trial(params=values, distributions=axes, value=row[metric]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        drawn = plot_parallel_coordinate(study, target_name=f"validation {metric}")
    figure = drawn.figure
    assert isinstance(figure, Figure)
    figure.set_size_inches(max(7.0, 1.9 * (len(axes) + 2)), 5)
    return figure


def _distribution(values: pd.Series) -> BaseDistribution:
    """The axis of a setting: numbers in proportion (logarithmic where they differ widely), words in a row."""
    numbers = _numbers(values)
    if numbers.isna().any():
        return CategoricalDistribution(_ordered(values))
    return FloatDistribution(numbers.min(), numbers.max(), log=_wide(numbers, 8))


def quality_and_cost(frame: pd.DataFrame, metric: str, settings: Sequence[str]) -> Figure:
    """The metric against the seconds a training took; numbers are ranks, named below it."""
    kinds = {True: "within noise of the best", False: "worse than the best"}
    frame = frame.assign(group=frame["within_noise_of_best"].map(kinds)).dropna(subset="wall_seconds")
    plot = (
        so.Plot(frame, x="wall_seconds", y=metric, ymin="low", ymax="high", color="group", marker="group")
        .add(so.Range(alpha=0.3))
        .add(so.Dot())
        .add(so.Text(color="0.2", halign="left", valign="bottom", offset=5), text="rank", legend=False)
        .scale(**_told_apart(list(kinds.values())), x=_proportional(frame["wall_seconds"]))
        .label(x="training time, wall clock [s], mean over seeds", y=f"validation {metric}", color="", marker="")
        .label(title=f"{metric} and the cost of training")
    )
    figure = _drawn(plot)
    table = frame[["rank", *settings]].head(LISTED).to_string(index=False)
    if len(frame) > LISTED:
        table += f"\n… {len(frame) - LISTED} more in report.md"
    axes = figure.axes[0]
    axes.text(0, -0.2, table, transform=axes.transAxes, va="top", family="monospace", fontsize=8)
    return figure


def _told_apart(values: Sequence[str]) -> dict[str, so.Nominal]:
    """Scales that give each value a colour, which colour-blind readers can tell apart, and a marker."""
    return {"color": so.Nominal("colorblind", order=values), "marker": so.Nominal(MARKERS[: len(values)], order=values)}


def _proportional(numbers: pd.Series) -> so.Continuous:
    """An axis of numbers, logarithmic where they differ widely."""
    if not _wide(numbers, 20):
        return so.Continuous()
    return so.Continuous(trans="log").tick(LogLocator(subs=(1, 2, 5))).label(like="{x:g}")


def _drawn(plot: so.Plot) -> Figure:
    figure = Figure(figsize=(8, 4.8))
    plot.theme(STYLE).on(figure).plot()
    for legend in figure.legends:
        legend.set_bbox_to_anchor((1.02, 0.5), transform=figure.axes[0].transAxes)
    return figure


def _ordered(values: pd.Series) -> list[str]:
    """Each value once: numbers by size, then words by the alphabet."""
    keys = pd.DataFrame({"number": _numbers(values), "word": values})
    return list(keys.sort_values(["number", "word"])["word"].unique())


def _numbers(values: pd.Series) -> pd.Series:
    """Values as numbers, NaN for words."""
    return pd.to_numeric(values, errors="coerce")


def _wide(numbers: pd.Series, factor: float) -> bool:
    """Whether numbers differ so much that an axis should be logarithmic."""
    return bool(0 < factor * numbers.min() < numbers.max())
