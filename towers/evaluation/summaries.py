"""Summaries of outcomes: means with intervals, beyond-accuracy measures, slices, differences to the best baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from towers.diversity import mean_distance
from towers.evaluation.report import BeyondAccuracy, Differences, ScorerSummary, Slice, Slices
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome
from towers.metrics.ranking_metrics import NDCG, RECALL, metric_names, per_user

LONG_HISTORY = 3  # events from which a user is no longer told apart by their number
TAKEN_AWAY = "history taken away"
DECILES = 10
POPULAR_SHARE = 0.1


@dataclass(frozen=True)
class Catalogue:
    """The items, as lists of them are measured.

    Attributes:
        counts: training events of each item, [N].
        texts: unit vectors of the items' whitened texts, [N, text_dim]; None where none are measured.
    """

    counts: NDArray[np.int64]
    texts: NDArray[np.float32] | None


def summarize(
    outcome: Outcome,
    cases: Cases,
    catalogue: Catalogue,
    bootstrap: Bootstrap,
    without_history: NDArray[np.float64] | None = None,
) -> ScorerSummary:
    """Everything that is reported of one scorer.

    Args:
        outcome: of the scorer.
        cases: the users.
        catalogue: the items.
        bootstrap: of the intervals.
        without_history: see `slices`.
    """
    return ScorerSummary(
        metrics=bootstrap.estimates(outcome.metrics, metric_names(cases.cutoffs)),
        beyond=beyond_accuracy(outcome.top, catalogue),
        slices=slices(outcome, cases, catalogue.counts, bootstrap, without_history),
    )


def beyond_accuracy(top: NDArray[np.int64], catalogue: Catalogue) -> BeyondAccuracy:
    """Properties of recommended lists [U, K], -1 where there were fewer items than K."""
    counts, texts = catalogue.counts, catalogue.texts
    surprise = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
    shown = top[top >= 0]
    return BeyondAccuracy(
        coverage=len(np.unique(shown)) / len(counts),
        novelty=float(surprise[shown].mean()),
        popularity_share=float(np.isin(shown, _popular(counts)).mean()),
        intra_list_distance=None if texts is None else mean_distance(top, texts),
    )


def _popular(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the catalogue with the most training events, at least one item."""
    return np.argsort(-counts, kind="stable")[: max(int(len(counts) * POPULAR_SHARE), 1)]


def slices(
    outcome: Outcome,
    cases: Cases,
    counts: NDArray[np.int64],
    bootstrap: Bootstrap,
    without_history: NDArray[np.float64] | None = None,
) -> Slices:
    """Recall and NDCG at the first two cutoffs, by history length and by popularity of the relevant items.

    Args:
        outcome, cases, bootstrap: as of `summarize`.
        counts: training events of each item, [N].
        without_history: metrics of all cases had their history been taken away, [U, M]; None where that was not tried.

    Returns:
        By label; a slice without users is left out.
    """
    parts = {} if without_history is None else {TAKEN_AWAY: without_history}
    parts |= by_history(outcome.metrics, cases) | _by_popularity(outcome, cases, counts)
    return estimated_slices(parts, cases.cutoffs, bootstrap)


def estimated_slices(parts: Mapping[str, NDArray[np.float64]], cutoffs: Sequence[int], bootstrap: Bootstrap) -> Slices:
    """As `slices` returns, from metrics by label, [u, M] each."""
    names = metric_names(cutoffs)
    shown = [name for name in names if name in {f"{m}@{k}" for m in (RECALL, NDCG) for k in cutoffs[:2]}]
    columns = [names.index(name) for name in shown]
    return {
        label: Slice(len(values), bootstrap.estimates(values[:, columns], shown))
        for label, values in parts.items()
        if len(values)
    }


def by_history(metrics: NDArray[np.float64], cases: Cases) -> dict[str, NDArray[np.float64]]:
    """The metrics of cases, [U, M], by the length of their histories."""
    lengths = np.minimum(cases.ends - cases.sequences.offsets[cases.users], LONG_HISTORY)
    return {f"history {n}{'+' * (n == LONG_HISTORY)}": metrics[lengths == n] for n in range(LONG_HISTORY + 1)}


def _by_popularity(outcome: Outcome, cases: Cases, counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Metrics of users with a relevant item of a decile, by decile.

    A user with relevant items of several deciles stands in each of them: there only the relevant items of that decile
    count, at the ranks that they have in the whole catalogue.
    """
    parts = {}
    deciles = popularity_deciles(counts)[np.concatenate(cases.truth)]  # [T]
    owners = np.repeat(np.arange(len(cases)), [len(relevant) for relevant in cases.truth])  # [T]
    for decile in range(1, DECILES + 1):
        inside = deciles == decile
        users, positions = np.unique(owners[inside], return_inverse=True)
        ranks = torch.from_numpy(outcome.ranks[inside])
        metrics = per_user(ranks, torch.from_numpy(positions), len(users), cases.cutoffs)
        parts[f"popularity decile {decile}"] = torch.stack(list(metrics.values()), dim=1).numpy()
    return parts


def popularity_deciles(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tenth of the catalogue that each item is of by its training events, [N]: 1 is the most popular, 10 the least.

    Items of equally many events are of one tenth, the one in which the first of them stands.
    """
    more = len(counts) - np.searchsorted(np.sort(counts), counts, side="right")  # items with more events, [N]
    return 1 + more * DECILES // len(counts)


def compare(
    metrics: Mapping[str, NDArray[np.float64]], baselines: Sequence[str], names: Sequence[str], bootstrap: Bootstrap
) -> Differences | None:
    """How far each scorer lies above the strongest baseline, user by user (see `towers.metrics.paired`).

    Args:
        metrics: of each scorer, name -> [U, M].
        baselines: names among them, at least one, or there is nothing to compare with.
        names: of the M metrics; the first NDCG among them decides which baseline is the strongest.
        bootstrap: of the intervals.
    """
    if not baselines:
        return None
    deciding = next(column for column, name in enumerate(names) if name.startswith(NDCG))
    strongest = max(baselines, key=lambda name: float(metrics[name][:, deciding].mean()))
    return Differences(
        strongest,
        {
            name: bootstrap.estimates(values - metrics[strongest], names)
            for name, values in metrics.items()
            if name != strongest
        },
    )
