"""Evaluation of a scorer on cases: one code for towers and baselines, in training and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.progress import track
from towers.events.history import History
from towers.metrics.cases import Cases, EvaluationBatch, EvaluationBatches
from towers.metrics.ranking_metrics import metric_names, per_user, ranks


class Scorer(Protocol):
    """Anything that scores the catalogue for users: towers, baselines.

    Attributes:
        name: the row's name in tables.
    """

    name: str

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Scores of every item for B people, [B, N]; higher is better, finite.

        Args:
            histories: B histories, which may be empty.
            queries: B search texts, "" for none. A scorer of words takes the query as the newest event of the history;
                a scorer that cannot read ignores it.
        """


def rank_batch(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Metrics of B cases from the scores of the whole catalogue, [B, N] -> [B, M]; `scores` is overwritten."""
    return metrics_of(relevant_ranks(scores, batch, cases), batch, cases)


def relevant_ranks(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Ranks of the relevant items of B cases, [T] on the CPU, from scores [B, N], which are overwritten."""
    scores[batch.seen_users, batch.seen_rows] = -torch.inf
    return ranks(scores, batch.truth_users, batch.truth_rows, cases.ties.to(scores.device)).cpu()


def metrics_of(item_ranks: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Metrics of B cases from the ranks of their relevant items, [T] -> [B, M]."""
    metrics = per_user(item_ranks, batch.truth_users.cpu(), len(batch.places), cases.cutoffs)
    return torch.stack(list(metrics.values()), dim=1)


def room_for_metrics(cases: Cases) -> Tensor:
    """Room for the metrics of all cases, [U, M], columns as `metric_names`; NaN until a batch brings its own."""
    return torch.full((len(cases), len(metric_names(cases.cutoffs))), torch.nan, dtype=torch.float64)


def mean_metrics(metrics: Tensor, cases: Cases) -> dict[str, float]:
    """Means over all cases, [U, M] -> metric name -> value."""
    return dict(zip(metric_names(cases.cutoffs), metrics.mean(dim=0).tolist(), strict=True))


@dataclass(frozen=True)
class Outcome:
    """Metrics and ranks of one scorer on all cases.

    Attributes:
        name: the scorer's.
        metrics: [U, M] each case's metrics, columns as `metric_names`.
        ranks: [T] rank of each relevant item, cases one after the other in the order of `truth`.
        top: [U, K] the first K items of each case, K the smallest cutoff; -1 where there were fewer.
    """

    name: str
    metrics: NDArray[np.float64]
    ranks: NDArray[np.int64]
    top: NDArray[np.int64]


def evaluate(scorer: Scorer, cases: Cases, batch_size: int) -> Outcome:
    """Rank the whole catalogue for every case.

    Args:
        scorer: is evaluated.
        cases: on these.
        batch_size: cases scored at a time; memory is batch_size * N scores.
    """
    metrics = room_for_metrics(cases)
    depth = min(*cases.cutoffs, len(cases.item_ids))
    top = torch.empty(len(cases), depth, dtype=torch.int64)
    relevant = np.split(np.arange(sum(map(len, cases.truth))), np.cumsum([len(rows) for rows in cases.truth])[:-1])
    item_ranks = np.empty(sum(map(len, relevant)), np.int64)
    batches = EvaluationBatches(cases, batch_size)
    for batch in track(batches, f"evaluating {scorer.name}", total=len(batches)):
        scores = scorer.score(batch.histories, batch.queries)
        of_batch = relevant_ranks(scores, batch, cases)
        item_ranks[np.concatenate([relevant[case] for case in batch.places.tolist()])] = of_batch.numpy()
        metrics[batch.places] = metrics_of(of_batch, batch, cases)
        best = scores.topk(depth, dim=1)
        top[batch.places] = torch.where(best.values.isfinite(), best.indices, -1).cpu()  # seen is not recommended
    return Outcome(scorer.name, metrics.numpy(), item_ranks, top.numpy())
