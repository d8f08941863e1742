"""The curve of a calibration, drawn."""

import logging
from collections.abc import Sequence
from pathlib import Path

from index.calibration.calibration import Calibration
from index.calibration.index_trials import IndexTrial

log = logging.getLogger(__name__)

CURVE = "curve.png"


def draw_curve(path: Path, calibration: Calibration, trials: Sequence[IndexTrial]) -> None:
    """Draw index recall against time, the setting taken, and the other indexes.

    Without matplotlib, which is an extra, a line in the log says so and nothing is drawn.

    Args:
        path: PNG file to write.
        calibration: of the index that was taken.
        trials: every index that was tried.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("%s is not drawn: it needs matplotlib, pip install 'twotower[report]'", path.name)
        return
    curve, parameters = calibration.curve, calibration.parameters
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([point.milliseconds for point in curve], [point.recall for point in curve], "o-", label="settings")
    taken = [point for point in curve if (point.nprobe, point.rescore) == (parameters.nprobe, parameters.rescore)]
    axes.plot(
        [point.milliseconds for point in taken], [point.recall for point in taken], "*", markersize=16, label="taken"
    )
    for trial in trials[1:]:
        if trial.milliseconds is not None and trial.recall is not None:
            axes.plot(trial.milliseconds, trial.recall, "x", label=trial.factory)
    axes.axhline(calibration.target, color="grey", linestyle="--", linewidth=1, label="target")
    axes.set(xscale="log", xlabel="milliseconds a query, one thread, batches of 64")
    axes.set(ylabel=f"index recall@{parameters.k}")
    axes.set_title(f"index recall against time, {calibration.users:,} users", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)
