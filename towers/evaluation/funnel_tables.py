"""The funnel's tables on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from towers.candidates.stage import RECALL
from towers.evaluation.tables import console, difference, print_by_slice, print_comparison, print_table


def print_funnel(report: dict[str, Any], cutoffs: Sequence[int]) -> None:
    """Each stage, how far above recall, by kind of user, and what each channel is worth.

    Args:
        report: as `evaluate_funnel` makes it.
        cutoffs: the k of its metrics.
    """
    channels = ", ".join(report["channels"])
    title = f"the funnel ({channels}): {report['users']:,} users, items that no stage offers count as not found"
    print_table(report["stages"], cutoffs, title)
    print_comparison(report["against"], cutoffs, "above recall, user by user (* beyond chance)")
    if report["served"] != RECALL:
        title = f"above {report['served']}, user by user (* beyond chance)"
        print_comparison(report["diversified"]["against"], cutoffs, title)
    print_lists(report["stages"], cutoffs[0])
    slices = {name: stage["slices"] for name, stage in report["stages"].items()}
    print_by_slice(slices, f"ndcg@{cutoffs[0]}", "stage by stage")
    if report["ablation"]:
        print_ablation(report["ablation"])


def print_lists(stages: dict[str, Any], k: int) -> None:
    """One row a stage: what its lists are worth, and how unlike each other their items are."""
    table = Table(title=f"lists of {k}: mean of 1 - cosine over their pairs")
    table.add_column("")
    for column in (f"ndcg@{k}", "by item vectors", "by texts"):
        table.add_column(column, justify="right")
    for name, summary in stages.items():
        beyond = summary["beyond"]
        figures = (summary["metrics"][f"ndcg@{k}"]["mean"], beyond["item_distance"], beyond["intra_list_distance"])
        table.add_row(name, *(f"{figure:.4f}" for figure in figures))
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
