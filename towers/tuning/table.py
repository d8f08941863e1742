"""The table of a sweep: on a terminal, in Markdown, as CSV."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from towers.tuning.trials import Trial, TrialGroup

COSTS = {"wall_seconds": ("wall", "s"), "cpu_seconds": ("CPU", "s"), "peak_memory_mb": ("peak memory", "MB")}
"""Recorded cost -> its name for readers, its unit."""

CLOSE = "≈"


def columns(groups: Sequence[TrialGroup], metric: str) -> list[str]:
    """Headings of the table."""
    costs = [f"{name} [{unit}]" for name, unit in COSTS.values()]
    return ["#", *groups[0].settings, metric, "interval", "seeds", *costs, "best epoch"]


def rows(groups: Sequence[TrialGroup]) -> Iterator[list[str]]:
    """A row a group, as text."""
    for rank, group in enumerate(groups, start=1):
        yield [
            f"{rank} {CLOSE}" if group.close and rank > 1 else str(rank),
            *group.settings.values(),
            f"{group.mean:.4f}",
            "–" if math.isnan(group.low) else f"{group.low:.4f}…{group.high:.4f}",
            str(len(group.trials)),
            *(_amount(group.cost(name), 0 if unit == "MB" else 1) for name, (_, unit) in COSTS.items()),
            _amount(group.best_epoch, 1 if len(group.trials) > 1 else 0),
        ]


def explanation(groups: Sequence[TrialGroup], confidence: float) -> str:
    """Explanation of the table for its reader."""
    text = f"{CLOSE}: within noise of the best. Intervals ({confidence:.0%}): "
    kinds = {len(group.trials) > 1 for group in groups}
    text += "; ".join(
        kind
        for several, kind in (
            (True, "Student's over seeds"),
            (False, "for one seed, the bootstrap's over validation users, which says nothing of another seed's luck"),
        )
        if several in kinds
    )
    return f"{text}. Costs are means over seeds."


def print_groups(groups: Sequence[TrialGroup], failed: Sequence[Trial], metric: str, confidence: float) -> None:
    """The table on the terminal, best first, then what came to nothing and why."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    if groups:
        table = Table(title="best first, validation figures")
        for column in columns(groups, metric):
            table.add_column(escape(column), justify="left" if column in groups[0].settings else "right")
        for row in rows(groups):
            table.add_row(*map(escape, row))
        console.print(table)
        console.print(explanation(groups, confidence), highlight=False, soft_wrap=True)
    for line in failures(groups, failed):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


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
    heads = columns(groups, metric)
    rules = [":--" if head in groups[0].settings else "--:" for head in heads]
    lines = [heads, rules, *rows(groups)]
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
        | {"folder": str(trial.folder), "reason": ""}
        for group in groups
        for trial in group.trials
    ]
    names = groups[0].settings if groups else {}
    lost = [
        {**{name: trial.overrides.get(name, "") for name in names}, "seed": trial.seed}
        | {"folder": str(trial.folder), "reason": trial.reason}
        for trial in failed
    ]
    return pd.DataFrame([*done, *lost])


def _amount(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"
