"""Tables of an evaluation on the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from towers.evaluation.report import (
    Ablation,
    ColdItems,
    Differences,
    Estimates,
    FunnelReport,
    ScorerSummary,
    SearchReport,
    Slices,
    UsersWithoutHistory,
)
from towers.evaluation.stage import RECALL as STAGE_RECALL
from towers.metrics.bootstrap import Estimate
from towers.metrics.ranking_metrics import HIT_RATE, MRR, NDCG, RECALL


def print_scorers(summaries: Mapping[str, ScorerSummary], cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval."""
    columns, rows = _shown(cutoffs), []
    for name in _best_first({name: summary.metrics for name, summary in summaries.items()}, f"{NDCG}@{cutoffs[0]}"):
        metrics, beyond = summaries[name].metrics, summaries[name].beyond
        distance = "" if beyond.intra_list_distance is None else f"{beyond.intra_list_distance:.3f}"
        lists = f"{beyond.coverage:.3f}", f"{beyond.novelty:.1f}", f"{beyond.popularity_share:.3f}", distance
        rows.append((name, *_cells(metrics, columns), *lists))
    print_table(title, [*columns, "coverage", "novelty", "popular", "distance"], rows)


def print_differences(differences: Differences, cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best first: how far above the baseline; * where the interval excludes zero."""
    columns, scorers = _shown(cutoffs), differences.scorers
    names = _best_first(scorers, f"{NDCG}@{cutoffs[0]}")
    rows = [(name, *(scorers[name][column].as_difference for column in columns)) for name in names]
    print_table(title, columns, rows)


def print_slices(slices: Mapping[str, Slices], metric: str, title: str) -> None:
    """One row a slice of the users, one column a scorer.

    Args:
        slices: of each scorer, by its name.
        metric: the one that is shown.
        title: of the table.
    """
    rows = [
        (label, f"{part.users:,}", *(str(of_scorer[label].metrics[metric]) for of_scorer in slices.values()))
        for label, part in next(iter(slices.values())).items()
    ]
    print_table(f"{metric}, {title}", ["users", *slices], rows, first="users with")


def print_cold(report: ColdItems) -> None:
    """One row a scorer, best first: recall of items without training events."""
    columns = list(next(iter(report.scorers.values())))
    rows = [(name, *_cells(report.scorers[name], columns)) for name in _best_first(report.scorers, columns[-1])]
    users = f"{report.users:,} users with {report.relevant:,} relevant items that have no training event"
    print_table(f"cold items: {users}", columns, rows)


def print_without_history(report: UsersWithoutHistory, cutoffs: Sequence[int]) -> None:
    """One row a scorer, best first, on users whose history is taken away."""
    metric, columns, against, rows = f"{NDCG}@{cutoffs[0]}", _shown(cutoffs), report.against, []
    for name in _best_first(report.scorers, metric):
        figures = _cells(report.scorers[name], columns)
        if against:
            figures.append(against.scorers[name][metric].as_difference if name in against.scorers else "")
        rows.append((name, *figures))
    above = [f"{metric} above {against.baseline}"] if against else []
    print_table(f"users without history: {report.users:,}, theirs taken away", [*columns, *above], rows)


def print_search(report: SearchReport, confidence: float) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval; and NDCG by other wordings."""
    title = f"search: {report.queries:,} judged queries, the whole catalogue ranked, {confidence:.0%} intervals"
    if report.served is not None:
        title += f"; served: as a server answers, learnt from {report.served.learnt_from} queries"
    deciding, *_ = columns = list(next(iter(report.scorers.values())))
    rows = [
        (
            name,
            *_cells(report.scorers[name], columns),
            *(str(reworded.scorers[name][deciding]) for reworded in report.reworded.values()),
        )
        for name in _best_first(report.scorers, deciding)
    ]
    print_table(title, [*columns, *(f"{deciding}, {wording}" for wording in report.reworded)], rows)
    if report.served is None:
        print("nothing is served for queries but the model: python -m towers.train_funnel puts words beside the towers")


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
    if report.served != STAGE_RECALL:
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


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], first: str = "") -> None:
    """A table on the terminal; all columns but the first, whose heading is `first`, are of figures.

    It has a terminal's own width, and in a log enough.
    """
    table = Table(title=title)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)


def _best_first(scorers: Mapping[str, Estimates], metric: str) -> Iterable[str]:
    return sorted(scorers, key=lambda name: -scorers[name][metric].mean)


def _cells(metrics: Estimates, columns: Sequence[str]) -> list[str]:
    return [str(metrics[column]) for column in columns]


def _shown(cutoffs: Sequence[int]) -> list[str]:
    """Metrics that tables have room for."""
    k = cutoffs[0]
    return [*(f"{metric}@{k}" for metric in (RECALL, NDCG, MRR, HIT_RATE)), *(f"{RECALL}@{c}" for c in cutoffs[1:])]
