"""From outcomes to a table: means with intervals, beyond-accuracy measures, slices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from towers.diversity import mean_distance
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome, metric_names
from towers.metrics.ranking_metrics import bootstrap_intervals, per_user

LONG_HISTORY = 3  # events from which a user is no longer told apart by their number
TAKEN_AWAY = "history taken away"
DECILES = 10
POPULAR_SHARE = 0.1


def summarize(
    outcome: Outcome,
    cases: Cases,
    counts: NDArray[np.int64],
    texts: NDArray[np.float32] | None,
    samples: int,
    confidence: float,
    seed: int,
    newcomers: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Everything that is reported of one scorer.

    Args:
        outcome: what it did.
        cases: on whom.
        counts: training events of each item, [N].
        texts: unit vectors of the items' whitened texts, [N, text_dim]; None where nothing reads them.
        samples, confidence, seed: of the bootstrap intervals.
        newcomers: see `slices`.

    Returns:
        `metrics`: name -> {mean, low, high}; `beyond`: see `beyond_accuracy`; `slices`: see `slices`.
    """
    return {
        "metrics": with_intervals(outcome.metrics, metric_names(cases.cutoffs), samples, confidence, seed),
        "beyond": beyond_accuracy(outcome.top, counts, texts),
        "slices": slices(outcome, cases, counts, samples, confidence, seed, newcomers),
    }


def with_intervals(
    values: NDArray[np.float64], names: Sequence[str], samples: int, confidence: float, seed: int
) -> dict[str, dict[str, float]]:
    """Means of the columns of [U, M] and their intervals, by name."""
    low, high = bootstrap_intervals(values, samples, confidence, seed)
    return {
        name: {"mean": float(m), "low": float(a), "high": float(b)}
        for name, m, a, b in zip(names, values.mean(axis=0), low, high, strict=True)
    }


def beyond_accuracy(
    top: NDArray[np.int64], counts: NDArray[np.int64], texts: NDArray[np.float32] | None
) -> dict[str, float]:
    """What the lists are like, whatever they hit.

    Args:
        top: [U, K] recommended items, -1 where there were fewer than K.
        counts: training events of each item, [N].
        texts: unit vectors of the items' whitened texts, [N, text_dim]; None where nothing reads them.

    Returns:
        `coverage`: share of the catalogue that is recommended to anyone; `novelty`: mean of -log2 of an item's share of
        training events, one event being the least (Zhou et al., PNAS 2010); `popularity_share`: share of the places
        that go to the most popular tenth of the catalogue; `intra_list_distance`: mean over the lists of two items or
        more, by `texts`, left out without them.
    """
    popular = _popular(counts)
    surprise = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
    shown = top[top >= 0]
    found = {
        "coverage": len(np.unique(shown)) / len(counts),
        "novelty": float(surprise[shown].mean()),
        "popularity_share": float(np.isin(shown, popular).mean()),
    }
    if texts is not None:
        found["intra_list_distance"] = mean_distance(top, texts)
    return found


def _popular(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the catalogue with the most training events, at least one item."""
    return np.argsort(-counts, kind="stable")[: max(int(len(counts) * POPULAR_SHARE), 1)]


def slices(
    outcome: Outcome,
    cases: Cases,
    counts: NDArray[np.int64],
    samples: int,
    confidence: float,
    seed: int,
    newcomers: NDArray[np.float64] | None = None,
) -> dict[str, dict[str, Any]]:
    """Recall and NDCG at the first two cutoffs, by history length and by popularity of what was to be found.

    Args:
        outcome, cases, counts, samples, confidence, seed: as of `summarize`.
        newcomers: metrics of all cases had their history been taken away, [U, M]; None where that was not tried.

    Returns:
        Label -> `users` and metric -> {mean, low, high}; a slice without users is left out.
    """
    parts = {} if newcomers is None else {TAKEN_AWAY: newcomers}
    parts |= by_history(outcome.metrics, cases) | _by_popularity(outcome, cases, counts)
    return with_intervals_each(parts, cases.cutoffs, samples, confidence, seed)


def with_intervals_each(
    parts: dict[str, NDArray[np.float64]], cutoffs: Sequence[int], samples: int, confidence: float, seed: int
) -> dict[str, dict[str, Any]]:
    """What `slices` returns, of metrics by label, [u, M] each."""
    names = metric_names(cutoffs)
    shown = [n for n in names if n.split("@")[0] in ("recall", "ndcg") and int(n.split("@")[1]) in cutoffs[:2]]
    columns = [names.index(name) for name in shown]
    return {
        label: {"users": len(values)} | with_intervals(values[:, columns], shown, samples, confidence, seed)
        for label, values in parts.items()
        if len(values)
    }


def by_history(metrics: NDArray[np.float64], cases: Cases) -> dict[str, NDArray[np.float64]]:
    """The metrics of cases, [U, M], by the length of their histories."""
    lengths = np.minimum(cases.ends - cases.sequences.offsets[cases.users], LONG_HISTORY)
    return {f"history {n}{'+' * (n == LONG_HISTORY)}": metrics[lengths == n] for n in range(LONG_HISTORY + 1)}


def _by_popularity(outcome: Outcome, cases: Cases, counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Metrics of those who want an item of a decile, by decile.

    Of a user who wants items of several deciles each has its own say: in a decile only the relevant items that are of it
    count, at the ranks that they have in the whole catalogue.
    """
    parts = {}
    deciles = popularity_deciles(counts)[np.concatenate(cases.truth)]  # [T]
    owners = np.repeat(np.arange(len(cases)), [len(relevant) for relevant in cases.truth])  # [T]
    for decile in range(1, DECILES + 1):
        own = deciles == decile
        users, places = np.unique(owners[own], return_inverse=True)
        found = per_user(torch.from_numpy(outcome.ranks[own]), torch.from_numpy(places), len(users), cases.cutoffs)
        parts[f"popularity decile {decile}"] = torch.stack(list(found.values()), dim=1).numpy()
    return parts


def popularity_deciles(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the catalogue that each item is of by its training events, [N]: 1 is the most popular, 10 the least.

    Items of equally many events are of one tenth, the one in which the first of them stands.
    """
    more = len(counts) - np.searchsorted(np.sort(counts), counts, side="right")  # items with more events, [N]
    return 1 + more * DECILES // len(counts)


def compare(
    outcomes: dict[str, NDArray[np.float64]],
    baselines: Sequence[str],
    cutoffs: Sequence[int],
    samples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """How far each scorer lies above the strongest baseline, user by user.

    Two scorers answer the same users, of whom some are easy and some hard for both. The interval of the difference
    leaves that out, and so tells apart what the intervals of two means cannot.

    Args:
        outcomes: metrics of each scorer, name -> [U, M].
        baselines: names among them.
        cutoffs, samples, confidence, seed: as of `summarize`.

    Returns:
        `baseline`: the one with the highest NDCG at the first cutoff; `scorers`: name of each other -> metric ->
        {mean, low, high} of the differences. Empty where there is no baseline.
    """
    if not baselines:
        return {}
    names = metric_names(cutoffs)
    deciding = names.index(f"ndcg@{cutoffs[0]}")
    strongest = max(baselines, key=lambda name: float(outcomes[name][:, deciding].mean()))
    differences = {name: own - outcomes[strongest] for name, own in outcomes.items() if name != strongest}
    return {
        "baseline": strongest,
        "scorers": {name: with_intervals(own, names, samples, confidence, seed) for name, own in differences.items()},
    }


def print_table(summaries: dict[str, dict[str, Any]], cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best NDCG first; ± is half the width of the interval."""
    k, columns = cutoffs[0], _shown(cutoffs)
    table = Table(title=title)
    table.add_column("")
    for column in (*columns, "coverage", "novelty", "popular", "distance"):
        table.add_column(column, justify="right")
    for name, summary in sorted(summaries.items(), key=lambda s: -s[1]["metrics"][f"ndcg@{k}"]["mean"]):
        found = [summary["metrics"][c] for c in columns]
        beyond = summary["beyond"]
        table.add_row(
            name,
            *(f"{m['mean']:.4f} ±{(m['high'] - m['low']) / 2:.4f}" for m in found),
            f"{beyond['coverage']:.3f}",
            f"{beyond['novelty']:.1f}",
            f"{beyond['popularity_share']:.3f}",
            f"{beyond['intra_list_distance']:.3f}",
        )
    console().print(table)


def print_comparison(against: dict[str, Any], cutoffs: Sequence[int], title: str) -> None:
    """One row a scorer, best first: how far above what they are compared with; * where the interval excludes zero."""
    k, columns = cutoffs[0], _shown(cutoffs)
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, differences in sorted(against["scorers"].items(), key=lambda s: -s[1][f"ndcg@{k}"]["mean"]):
        table.add_row(name, *(difference(differences[column]) for column in columns))
    console().print(table)


def difference(found: dict[str, float]) -> str:
    """A difference with half the width of its interval, marked where that excludes zero."""
    mark = "*" if found["low"] > 0 or found["high"] < 0 else " "
    return f"{found['mean']:+.4f} ±{(found['high'] - found['low']) / 2:.4f}{mark}"


def _shown(cutoffs: Sequence[int]) -> list[str]:
    """Metrics that tables have room for."""
    k = cutoffs[0]
    return [f"recall@{k}", f"ndcg@{k}", f"mrr@{k}", f"hit_rate@{k}", *(f"recall@{c}" for c in cutoffs[1:])]


def print_by_slice(slices: dict[str, dict[str, Any]], metric: str, title: str) -> None:
    """One row a slice of the users, one column a scorer.

    Args:
        slices: name of each scorer -> what `slices` says of it.
        metric: the one that is shown.
        title: of the table.
    """
    table = Table(title=f"{metric}, {title}")
    for column in ("users with", "users", *slices):
        table.add_column(column, justify="left" if column == "users with" else "right")
    for label, first in next(iter(slices.values())).items():
        found = (own[label][metric] for own in slices.values())
        figures = (f"{f['mean']:.4f} ±{(f['high'] - f['low']) / 2:.4f}" for f in found)
        table.add_row(label, f"{first['users']:,}", *figures)
    console().print(table)


def print_cold(report: dict[str, Any]) -> None:
    """One row a scorer, best first, of how well items are found that it never saw in training."""
    summaries: dict[str, dict[str, Any]] = report["scorers"]
    columns = list(next(iter(summaries.values())))
    table = Table(title=f"cold items: {report['users']:,} users want {report['relevant']:,} without any training event")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, found in sorted(summaries.items(), key=lambda s: -s[1][columns[-1]]["mean"]):
        figures = (found[column] for column in columns)
        table.add_row(name, *(f"{f['mean']:.4f} ±{(f['high'] - f['low']) / 2:.4f}" for f in figures))
    console().print(table)


def print_newcomers(report: dict[str, Any], cutoffs: Sequence[int]) -> None:
    """One row a scorer, best first, of what users get whose history is taken away."""
    k, columns, against = cutoffs[0], _shown(cutoffs), report["against"]
    table = Table(title=f"newcomers: {report['users']:,} users, their history taken away")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    if against:
        table.add_column(f"ndcg@{k} above {against['baseline']}", justify="right")
    for name, found in sorted(report["scorers"].items(), key=lambda s: -s[1][f"ndcg@{k}"]["mean"]):
        figures = [f"{found[c]['mean']:.4f} ±{(found[c]['high'] - found[c]['low']) / 2:.4f}" for c in columns]
        if against:
            own = against["scorers"].get(name)
            figures.append("" if own is None else difference(own[f"ndcg@{k}"]))
        table.add_row(name, *figures)
    console().print(table)


def console() -> Console:
    """A terminal's own width, and enough for a table in a log."""
    console = Console()
    return console if console.is_terminal else Console(width=180)
