"""Weighted scores: each channel's in units of its own deviation, with the weights that rank best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from data_prep.config import require
from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.fusion.fusion import FittedFusion
from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.paired import greedy_ascent


@dataclass(frozen=True)
class WeightedScores(FittedFusion):
    """A weighted sum of the channels' standard scores.

    Their means are left out: they move all candidates of a user alike.

    Attributes:
        weights: of each channel, the towers first, [C].
        deviations: of each channel's scores over the candidates it was fitted to, [C].
    """

    kind: ClassVar[str] = "weighted_scores"

    weights: list[float]
    deviations: list[float]

    def scores(self, pools: CandidatePools) -> NDArray[np.float64]:
        """[T]."""
        return np.asarray(pools.scores @ (np.array(self.weights) / np.array(self.deviations)))


class FixedWeights:
    """Fixed weights; of the candidates nothing is learnt but the deviations of their scores.

    For examples that are not like the requests to be served: their relevant items would mislead.

    Args:
        weight: of each channel but the towers, which weigh 1.
    """

    reads_item_features = False

    def __init__(self, weight: float) -> None:
        require("fusion.weight", weight, 0)
        self.weight = weight

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> WeightedScores:
        """Measure the deviations."""
        weights = [1.0] + [self.weight] * (len(channels) - 1)
        return WeightedScores(weights, _deviations(labelled.pools).tolist())


class Weighted:
    """Weights chosen one move at a time by NDCG@10 (see `greedy_ascent`); the towers weigh 1, the others 0 at first.

    Args:
        grid: weights tried.
        passes: moves, at most.
        certainty: standard errors that a move must gain.
    """

    reads_item_features = False

    def __init__(self, grid: Sequence[float], passes: int, certainty: float) -> None:
        require("fusion.passes", passes, 0)
        require("fusion.certainty", certainty, 0)
        self.grid, self.passes, self.certainty = list(grid), passes, certainty

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> WeightedScores:
        """Choose the weights."""
        deviations = _deviations(labelled.pools)
        standard = labelled.pools.scores / deviations  # [T, C]
        others = range(1, len(channels))

        @cache
        def ndcg(weights: tuple[float, ...]) -> NDArray[np.float64]:
            return labelled.ndcg(standard @ np.array(weights))

        def moves(weights: tuple[float, ...]) -> list[tuple[float, ...]]:
            return [(*weights[:i], value, *weights[i + 1 :]) for i in others for value in self.grid]

        def figures(
            weights: tuple[float, ...], following: Sequence[tuple[float, ...]]
        ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
            return ndcg(weights), [ndcg(moved) for moved in following]

        start = (1.0, *(0.0 for _ in others))
        weights = greedy_ascent(start, moves, figures, self.certainty, self.passes)
        return WeightedScores([float(weight) for weight in weights], deviations.tolist())


def _deviations(pools: CandidatePools) -> NDArray[np.float64]:
    """Of each channel's scores over all candidates, [C]; 1 for a channel that scores all alike."""
    deviations = pools.scores.astype(np.float64).std(axis=0)
    deviations[deviations < 1e-9] = 1.0
    return np.asarray(deviations)
