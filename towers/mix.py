"""Late fusion: several scorers as one, their scores brought to one scale and added."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.evaluation import Cases, EvaluationBatch, EvaluationBatches, Scorer
from towers.history import History
from towers.metrics import per_user, ranks

WATCHED = 10  # the k of the NDCG that weights are chosen by


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

    def calibrate(self, histories: Sequence[History], batch_size: int) -> Self:
        """Measure each part's deviation, over all its scores for a sample of users.

        Args:
            histories: the sample.
            batch_size: histories scored at a time.
        """
        self.deviations = [_deviation(scorer, histories, batch_size) for scorer in self.scorers]
        return self

    def scores(self, histories: Sequence[History]) -> list[Tensor]:
        """Each part's scores over its deviation, before weighing: [B, N] each."""
        parts = zip(self.scorers, self.deviations, strict=True)
        return [scorer.score(histories) / deviation for scorer, deviation in parts]

    def score(self, histories: Sequence[History]) -> Tensor:
        """The weighted sum, [B, N]."""
        return _weighted(self.scores(histories), self.weights)


def _weighted(scores: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = scores[0] * weights[0]
    for weight, part in zip(weights[1:], scores[1:], strict=True):
        if weight:
            total.add_(part, alpha=weight)
    return total


def _deviation(scorer: Scorer, histories: Sequence[History], batch_size: int) -> float:
    """Standard deviation of all scores; 1 for a scorer that is constant, which weighs nothing whatever its scale."""
    sums = np.zeros(3)
    for start in range(0, len(histories), batch_size):
        scores = scorer.score(histories[start : start + batch_size]).double()
        sums += [scores.numel(), scores.sum().item(), scores.square().sum().item()]
    count, total, squares = sums
    variance = squares / count - (total / count) ** 2 if count else 0.0
    return float(np.sqrt(variance)) if variance > 1e-12 * max(squares, 1e-300) / max(count, 1) else 1.0


def choose_weights(
    mix: Mix, cases: Cases, grid: Sequence[float], rounds: int, certainty: float, batch_size: int
) -> list[float]:
    """Weights that rank best, by NDCG@10, found one part at a time.

    The first part keeps its weight, since only ratios matter. Another's moves only to a value whose mean gain over the
    users exceeds `certainty` of its standard errors, users paired with themselves: a weight that chance favours costs
    quality elsewhere, and whatever has a weight costs dimensions.

    Args:
        mix: calibrated parts and the weights to start from.
        cases: users of the validation split; some thousands, or small gains drown.
        grid: weights tried for each part beside the one it has.
        rounds: passes over the parts, at most; the search ends when a pass changes nothing.
        certainty: in standard errors.
        batch_size: cases scored at a time; memory is (parts + 2) · batch_size · N scores.

    Returns:
        One weight a part.
    """
    weights = list(mix.weights)
    for _ in range(rounds):
        before = list(weights)
        for part in range(1, len(weights)):
            tried = [weights[part], *(value for value in grid if value != weights[part])]
            candidates = [[*weights[:part], value, *weights[part + 1 :]] for value in tried]
            found = _ndcg(mix, cases, candidates, batch_size)  # [candidates, U]
            best = int(np.argmax(found.mean(axis=1)))
            gain = found[best] - found[0]
            if gain.mean() > certainty * gain.std() / len(gain) ** 0.5:
                weights = candidates[best]
        if weights == before:
            break
    return weights


def _ndcg(mix: Mix, cases: Cases, candidates: Sequence[Sequence[float]], batch_size: int) -> NDArray[np.float64]:
    """Each user's NDCG by each choice of weights, [candidates, U]; the parts score each user once for all of them."""
    found = []
    for batch in EvaluationBatches(cases, batch_size):
        scores = mix.scores(batch.histories)
        found.append(np.stack([_gains(_weighted(scores, weights), batch, cases) for weights in candidates]))
    return np.concatenate(found, axis=1)


def _gains(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> NDArray[np.float64]:
    scores[batch.seen_users, batch.seen_rows] = -torch.inf
    found = ranks(scores, batch.truth_users, batch.truth_rows, cases.ties)
    gains: NDArray[np.float64] = per_user(found, batch.truth_users, len(scores), [WATCHED])[f"ndcg@{WATCHED}"].numpy()
    return gains
