"""Late fusion: several scorers as one, their scores brought to one scale and added."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.progress import track
from towers.events.history import History
from towers.metrics.cases import Cases, EvaluationBatch, EvaluationBatches
from towers.metrics.evaluation import Scorer
from towers.metrics.paired import greedy_ascent
from towers.metrics.ranking_metrics import CUTOFF, NDCG, per_user, ranks


class Mix:
    """Weighted sum of scorers, each divided by its global score deviation so that weights compare.

    One number a scorer, not one a user: a scorer that has little to say of a user stays quiet.

    Args:
        name: the row's name in tables.
        parts: scorers and their weights.
    """

    def __init__(self, name: str, parts: Sequence[tuple[Scorer, float]]) -> None:
        self.name = name
        self.scorers = [scorer for scorer, _ in parts]
        self.weights = [weight for _, weight in parts]
        self.deviations = [1.0] * len(parts)

    def calibrate(self, histories: Sequence[History], queries: Sequence[str], batch_size: int) -> Self:
        """Measure each part's deviation, over all its scores for a sample of users.

        Args:
            histories, queries: the sample, as `Scorer.score` takes them.
            batch_size: of them scored at a time.
        """
        self.deviations = [_deviation(scorer, histories, queries, batch_size) for scorer in self.scorers]
        return self

    def scores(self, histories: Sequence[History], queries: Sequence[str]) -> list[Tensor]:
        """Each part's scores over its deviation, before weighing: [B, N] each."""
        parts = zip(self.scorers, self.deviations, strict=True)
        return [scorer.score(histories, queries) / deviation for scorer, deviation in parts]

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The weighted sum, [B, N]."""
        return _weighted(self.scores(histories, queries), self.weights)


def _weighted(scores: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = scores[0] * weights[0]
    for weight, part in zip(weights[1:], scores[1:], strict=True):
        if weight:
            total.add_(part, alpha=weight)
    return total


def _deviation(scorer: Scorer, histories: Sequence[History], queries: Sequence[str], batch_size: int) -> float:
    """Standard deviation of all scores; 1 for a scorer that is constant, which weighs nothing whatever its scale."""
    sums = np.zeros(3)
    for start in range(0, len(histories), batch_size):
        some = slice(start, start + batch_size)
        scores = scorer.score(histories[some], queries[some]).double()
        sums += [scores.numel(), scores.sum().item(), scores.square().sum().item()]
    count, total, squares = sums
    variance = squares / count - (total / count) ** 2 if count else 0.0
    return float(np.sqrt(variance)) if variance > 1e-12 * max(squares, 1e-300) / max(count, 1) else 1.0


def choose_weights(
    mix: Mix, cases: Cases, grid: Sequence[float], passes: int, certainty: float, batch_size: int
) -> list[float]:
    """Weights that rank best, by NDCG@10, found one move at a time.

    The first part keeps its weight, since only ratios matter. Each pass over the users tries every other part at every
    weight and makes the move that gains most (see `greedy_ascent`): a weight that chance favours costs quality
    elsewhere, and whatever has a weight costs dimensions.

    Args:
        mix: calibrated parts and the weights to start from.
        cases: users of the validation split; some thousands, or small gains drown.
        grid: weights tried.
        passes: over the users, at most; the search ends with a pass that moves nothing.
        certainty: in standard errors.
        batch_size: cases scored at a time; memory is (parts + 2) · batch_size · N scores.

    Returns:
        One weight a part.
    """

    def moves(weights: list[float]) -> list[list[float]]:
        return [
            [*weights[:part], value, *weights[part + 1 :]]
            for part in range(1, len(weights))
            for value in grid
            if value != weights[part]
        ]

    def figures(
        weights: list[float], following: Sequence[list[float]]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        steps = [_move(weights, moved) for moved in following]
        before, after = _ndcg(mix, weights, steps, cases, batch_size)  # [U], [moves, U]
        return before, list(after)

    return greedy_ascent(list(mix.weights), moves, figures, certainty, passes)


def _move(before: Sequence[float], after: Sequence[float]) -> tuple[int, float]:
    """The part whose weight differs, and its weight then."""
    return next((part, new) for part, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)


def _ndcg(
    mix: Mix, weights: Sequence[float], moves: Sequence[tuple[int, float]], cases: Cases, batch_size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each user's NDCG by some weights, [U], and after each move of one of them, [moves, U]."""
    before, after = [], []
    batches = EvaluationBatches(cases, batch_size)
    for batch in track(batches, "choosing weights", total=len(batches)):
        scores = mix.scores(batch.histories, batch.queries)  # of all parts, once for all moves
        whole = _weighted(scores, weights)
        whole[batch.seen_users, batch.seen_rows] = -torch.inf
        before.append(_gains(whole, batch, cases))
        moved = (torch.add(whole, scores[part], alpha=value - weights[part]) for part, value in moves)
        after.append(np.stack([_gains(one, batch, cases) for one in moved]))
    return np.concatenate(before), np.concatenate(after, axis=1)


def _gains(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> NDArray[np.float64]:
    """NDCG of B users whose seen items are out of the running, [B]."""
    found = ranks(scores, batch.truth_users, batch.truth_rows, cases.ties)
    gains: NDArray[np.float64] = per_user(found, batch.truth_users, len(scores), [CUTOFF])[f"{NDCG}@{CUTOFF}"].numpy()
    return gains
