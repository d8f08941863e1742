"""The funnel's tables on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from towers.report import console, difference, print_comparison, print_table


def print_funnel(report: dict[str, Any], cutoffs: Sequence[int]) -> None:
    """Each stage, how far above recall, by kind of user, and what each channel is worth.

    Args:
        report: as `evaluate_funnel` makes it.
        cutoffs: the k of its metrics.
    """
    channels = ", ".join(report["channels"])
    title = f"the funnel ({channels}): {report['users']:,} users, items that no stage offers count as not found"
    print_table(report["stages"], cutoffs, title)
    if len(report["stages"]) > 1:
        print_comparison(report["against"], cutoffs, "above recall, user by user (* beyond chance)")
        print_stages_by_slice(report["stages"], f"ndcg@{cutoffs[0]}")
    if report["ablation"]:
        print_ablation(report["ablation"])


def print_stages_by_slice(stages: dict[str, Any], metric: str) -> None:
    """One row a slice of the users, one column a stage."""
    table = Table(title=f"{metric} by kind of user")
    table.add_column("users who")
    table.add_column("users", justify="right")
    for name in stages:
        table.add_column(name, justify="right")
    for label, first in next(iter(stages.values()))["slices"].items():
        figures = (f"{summary['slices'][label][metric]:.4f}" for summary in stages.values())
        table.add_row(label, f"{first['users']:,}", *figures)
    console().print(table)


def print_ablation(ablation: dict[str, Any]) -> None:
    """One row a fusion of some of the channels."""
    table = Table(title="what channels are worth, fused as configured (* beyond chance)")
    table.add_column("")
    for column in ("ndcg@10", "above recall", "missed"):
        table.add_column(column, justify="right")
    for name, found in ablation.items():
        table.add_row(name, f"{found['after']:.4f}", difference(found), f"{found['missed']:.1%}")
    console().print(table)
