"""The table of a sweep: on a terminal, in Markdown, as CSV."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from towers.tuning.trials import Trial, TrialGroup, compare, gather

COSTS = {"wall_seconds": ("wall", "s"), "cpu_seconds": ("CPU", "s"), "peak_memory_mb": ("peak memory", "MB")}
"""Recorded cost -> its name for readers, its unit."""

CLOSE = "≈"


def text_frame(groups: Sequence[TrialGroup], metric: str) -> pd.DataFrame:
    """The table as text for readers: a row a group, headings as columns."""
    return pd.DataFrame(
        {
            "#": f"{rank} {CLOSE}" if group.close and rank > 1 else str(rank),
            **group.settings,
            metric: f"{group.mean:.4f}",
            "interval": "–" if math.isnan(group.low) else f"{group.low:.4f}…{group.high:.4f}",
            "seeds": str(len(group.trials)),
            **{
                f"{name} [{unit}]": _amount(group.cost(cost), 0 if unit == "MB" else 1)
                for cost, (name, unit) in COSTS.items()
            },
            "best epoch": _amount(group.best_epoch, 1 if len(group.trials) > 1 else 0),
        }
        for rank, group in enumerate(groups, start=1)
    )


def explanation(groups: Sequence[TrialGroup], confidence: float) -> str:
    """Explanation of the table for its reader."""
    kinds = []
    if any(len(group.trials) > 1 for group in groups):
        kinds.append("Student's over seeds")
    if any(len(group.trials) == 1 for group in groups):
        kinds.append("for one seed, the bootstrap's over validation users, which says nothing of another seed's luck")
    intervals = f"Intervals ({confidence:.0%}): {'; '.join(kinds)}"
    return f"{CLOSE}: within noise of the best. {intervals}. Costs are means over seeds."


def print_groups(groups: Sequence[TrialGroup], failed: Sequence[Trial], metric: str, confidence: float) -> None:
    """The table on the terminal, best first, then what came to nothing and why."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    if groups:
        table = Table(title="best first, validation figures")
        frame = text_frame(groups, metric)
        for name in frame.columns:
            table.add_column(escape(name), justify="left" if name in groups[0].settings else "right")
        for row in frame.to_numpy().tolist():
            table.add_row(*map(escape, row))
        console.print(table)
        console.print(explanation(groups, confidence), highlight=False, soft_wrap=True)
    for line in failures(groups, failed):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_trials(folder: Path, metric: str, confidence: float) -> None:
    """The table of every trial in a folder, on the terminal.

    Raises:
        UsageError: there is no trial, or one has no such metric.
    """
    trials = gather([folder])
    groups = compare(trials, metric, confidence)
    print_groups(groups, [trial for trial in trials if trial.reason], metric, confidence)


def failures(groups: Sequence[TrialGroup], failed: Sequence[Trial]) -> list[str]:
    """A line for each trial that came to nothing: folder, settings, reason."""
    lines = []
    for trial in failed:
        names = [*groups[0].settings, "seed"] if groups else list(trial.overrides)
        settings = " ".join(f"{name}={trial.overrides[name]}" for name in names if name in trial.overrides)
        lines.append(f"{trial.folder} ({settings}): {trial.reason}")
    return lines


def markdown(groups: Sequence[TrialGroup], metric: str) -> str:
    """The table in Markdown."""
    frame = text_frame(groups, metric)
    rules = [":--" if name in groups[0].settings else "--:" for name in frame.columns]
    lines = [list(frame.columns), rules, *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def group_frame(groups: Sequence[TrialGroup], metric: str) -> pd.DataFrame:
    """The table as numbers: a row a group."""
    return pd.DataFrame(
        {
            "rank": rank,
            **group.settings,
            metric: group.mean,
            "low": group.low,
            "high": group.high,
            "within_noise_of_best": group.close,
            "seeds": len(group.trials),
            **{name: group.cost(name) for name in COSTS},
            "best_epoch": group.best_epoch,
            "folders": " ".join(str(trial.folder) for trial in group.trials),
        }
        for rank, group in enumerate(groups, start=1)
    )


def trial_frame(groups: Sequence[TrialGroup], failed: Sequence[Trial]) -> pd.DataFrame:
    """A row a trial, with every figure."""
    done = [
        {**group.settings, "seed": trial.seed, **trial.figures, **trial.cost, "best_epoch": trial.best_epoch}
        for group in groups
        for trial in group.trials
    ]
    names = groups[0].settings if groups else {}
    lost = [{**{name: trial.overrides.get(name, "") for name in names}, "seed": trial.seed} for trial in failed]
    trials = [trial for group in groups for trial in group.trials] + list(failed)
    folders = [str(trial.folder) for trial in trials]
    return pd.DataFrame([*done, *lost]).assign(folder=folders, reason=[trial.reason for trial in trials])


def _amount(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"
