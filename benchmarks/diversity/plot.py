"""The trade-off of diversity, drawn."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from data_prep.errors import UsageError

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter
except ImportError as error:
    raise UsageError("the picture needs matplotlib: pip install 'twotower[report]'") from error

PANELS = {
    "item_distance_change": "distance by item vectors, change",
    "text_distance_change": "distance by whitened text, change",
    "categories_change": "categories of a list, change",
}


def draw_tradeoff(path: Path, rows: pd.DataFrame, defaults: Mapping[str, float], k: int) -> None:
    """Draw the change of NDCG against three changes of diversity, a line a method, its default a star.

    Args:
        path: PNG file to write.
        rows: of `tradeoff`.
        defaults: strength of each method.
        k: items in a list.
    """
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, label) in zip(panels, PANELS.items(), strict=True):
        for number, (method, points) in enumerate(rows.groupby("method", sort=False)):
            line = points.sort_values("strength")
            colour = f"C{number}"
            axes.plot(line[column], line["ndcg_change"], "o-", color=colour, markersize=4, label=method)
            default = line[line["strength"] == defaults[str(method)]]
            axes.plot(default[column], default["ndcg_change"], "*", color=colour, markersize=16)
        axes.axhline(-0.02, color="grey", linestyle="--", linewidth=1)
        axes.set(xlabel=label)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3)
    panels[0].set(ylabel=f"NDCG@{k}, change")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
