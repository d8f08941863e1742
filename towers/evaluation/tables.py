"""Tables of an evaluation on the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from towers.evaluation.report import (
    ColdItems,
    Differences,
    Estimates,
    ScorerSummary,
    SearchReport,
    Slices,
    UsersWithoutHistory,
)
from towers.metrics.ranking_metrics import HIT_RATE, MRR, NDCG, RECALL


def print_scorers(summaries: Mapping[str, ScorerSummary], cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval."""
    columns = _shown(cutoffs)
    table = table_of(title, *columns, "coverage", "novelty", "popular", "distance")
    for name in _best_first({name: summary.metrics for name, summary in summaries.items()}, f"{NDCG}@{cutoffs[0]}"):
        summary = summaries[name]
        beyond = summary.beyond
        table.add_row(
            name,
            *(str(summary.metrics[column]) for column in columns),
            f"{beyond.coverage:.3f}",
            f"{beyond.novelty:.1f}",
            f"{beyond.popularity_share:.3f}",
            "" if beyond.intra_list_distance is None else f"{beyond.intra_list_distance:.3f}",
        )
    console().print(table)


def print_differences(differences: Differences, cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best first: how far above the baseline; * where the interval excludes zero."""
    columns = _shown(cutoffs)
    table = table_of(title, *columns)
    for name in _best_first(differences.scorers, f"{NDCG}@{cutoffs[0]}"):
        table.add_row(name, *(differences.scorers[name][column].as_difference for column in columns))
    console().print(table)


def print_slices(slices: Mapping[str, Slices], metric: str, title: str) -> None:
    """One row a slice of the users, one column a scorer.

    Args:
        slices: of each scorer, by its name.
        metric: the one that is shown.
        title: of the table.
    """
    table = table_of(f"{metric}, {title}", "users", *slices, first="users with")
    for label, part in next(iter(slices.values())).items():
        figures = (str(of_scorer[label].metrics[metric]) for of_scorer in slices.values())
        table.add_row(label, f"{part.users:,}", *figures)
    console().print(table)


def print_cold(report: ColdItems) -> None:
    """One row a scorer, best first: recall of items without training events."""
    columns = list(next(iter(report.scorers.values())))
    table = table_of(
        f"cold items: {report.users:,} users with {report.relevant:,} relevant items that have no training event",
        *columns,
    )
    for name in _best_first(report.scorers, columns[-1]):
        table.add_row(name, *(str(report.scorers[name][column]) for column in columns))
    console().print(table)


def print_without_history(report: UsersWithoutHistory, cutoffs: Sequence[int]) -> None:
    """One row a scorer, best first, on users whose history is taken away."""
    metric, columns, against = f"{NDCG}@{cutoffs[0]}", _shown(cutoffs), report.against
    above = [f"{metric} above {against.baseline}"] if against else []
    table = table_of(f"users without history: {report.users:,}, theirs taken away", *columns, *above)
    for name in _best_first(report.scorers, metric):
        figures = [str(report.scorers[name][column]) for column in columns]
        if against:
            figures.append(against.scorers[name][metric].as_difference if name in against.scorers else "")
        table.add_row(name, *figures)
    console().print(table)


def print_search(report: SearchReport, confidence: float) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval; and NDCG by other wordings."""
    title = f"search: {report.queries:,} judged queries, the whole catalogue ranked, {confidence:.0%} intervals"
    if report.served is not None:
        title += f"; served: as a server answers, learnt from {report.served.learnt_from} queries"
    deciding, *_ = columns = list(next(iter(report.scorers.values())))
    table = table_of(title, *columns, *(f"{deciding}, {wording}" for wording in report.reworded))
    for name in _best_first(report.scorers, deciding):
        cells = [report.scorers[name][column] for column in columns]
        cells += [reworded.scorers[name][deciding] for reworded in report.reworded.values()]
        table.add_row(name, *map(str, cells))
    Console().print(table)
    if report.served is None:
        print("not served: python -m towers.train_funnel puts words beside the towers")


def table_of(title: str, *columns: str, first: str = "") -> Table:
    """An empty table; all columns but the first are of figures."""
    table = Table(title=title)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _best_first(scorers: Mapping[str, Estimates], metric: str) -> Iterable[str]:
    return sorted(scorers, key=lambda name: -scorers[name][metric].mean)


def _shown(cutoffs: Sequence[int]) -> list[str]:
    """Metrics that tables have room for."""
    k = cutoffs[0]
    return [*(f"{metric}@{k}" for metric in (RECALL, NDCG, MRR, HIT_RATE)), *(f"{RECALL}@{c}" for c in cutoffs[1:])]


def console() -> Console:
    """A terminal's own width, and enough for a table in a log."""
    console = Console()
    return console if console.is_terminal else Console(width=180)
