"""The funnel's tables on the terminal."""

from collections.abc import Mapping, Sequence

from towers.evaluation.report import Ablation, FunnelReport, ScorerSummary
from towers.evaluation.stage import RECALL
from towers.evaluation.tables import print_differences, print_scorers, print_slices, print_table
from towers.metrics.bootstrap import Estimate
from towers.metrics.ranking_metrics import NDCG


def print_funnel(report: FunnelReport, cutoffs: Sequence[int]) -> None:
    """Each stage, how far above recall, by kind of user, and the gain of each channel.

    Args:
        report: of the funnel.
        cutoffs: the k of its metrics.
    """
    channels = ", ".join(report.channels)
    title = f"the funnel ({channels}): {report.users:,} users, items that are not retrieved count as not found"
    print_scorers(report.stages, cutoffs, title)
    print_differences(report.against, cutoffs, "above recall, user by user (* beyond chance)")
    if report.served != RECALL:
        title = f"above {report.served}, user by user (* beyond chance)"
        print_differences(report.diversified.against, cutoffs, title)
    print_lists(report.stages, cutoffs[0])
    slices = {name: stage.slices for name, stage in report.stages.items()}
    print_slices(slices, f"{NDCG}@{cutoffs[0]}", "stage by stage")
    if report.ablation:
        print_ablation(report.ablation)


def print_lists(stages: Mapping[str, ScorerSummary], k: int) -> None:
    """One row a stage: NDCG of its lists, and how unlike each other their items are."""
    metric, rows = f"{NDCG}@{k}", []
    for name, summary in stages.items():
        figures = (summary.metrics[metric].mean, summary.beyond.item_distance, summary.beyond.intra_list_distance)
        rows.append((name, *("" if figure is None else f"{figure:.4f}" for figure in figures)))
    print_table(f"lists of {k}: mean of 1 - cosine over their pairs", [metric, "by item vectors", "by texts"], rows)


def print_ablation(ablation: Mapping[str, Ablation]) -> None:
    """One row a fusion of some of the channels."""
    rows = []
    for name, row in ablation.items():
        gain = Estimate(row.comparison.mean, row.comparison.low, row.comparison.high)
        rows.append((name, f"{row.comparison.after:.4f}", gain.as_difference, f"{row.not_retrieved:.1%}"))
    columns = ["ndcg@10", "above recall", "not retrieved"]
    print_table("gain of the channels, fused as configured (* beyond chance)", columns, rows)
