"""Weighted scores: each channel's in units of its own deviation, with the weights that rank best."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.config import require
from towers.candidates.candidate_pool import Pools
from towers.candidates.labelled_pools import LabelledPools


@dataclass(frozen=True)
class WeightedScores:
    """A weighted sum of the channels' standard scores.

    Their means are left out: they move all candidates of a user alike.

    Attributes:
        weights: of each channel, the towers first, [C].
        deviations: of each channel's scores over the candidates it was fitted to, [C].
    """

    weights: list[float]
    deviations: list[float]

    def scores(self, pools: Pools) -> NDArray[np.float64]:
        """[T]."""
        return np.asarray(pools.scores @ (np.array(self.weights) / np.array(self.deviations)))

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        return cls(**state)


class FixedWeights:
    """Weights that are settled beforehand; of the candidates nothing is learnt but the deviations of their scores.

    For material whose askers are not those who will be served: what they relevant would mislead.

    Args:
        weight: of each channel but the towers, which weigh 1.
    """

    reads_facts = False

    def __init__(self, weight: float) -> None:
        require("fusion.weight", weight, 0)
        self.weight = weight

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> WeightedScores:
        """Measure the deviations."""
        weights = [1.0] + [self.weight] * (len(channels) - 1)
        return WeightedScores(weights, _deviations(labelled.pools).tolist())


class Weighted:
    """Finds the weights one move at a time, by NDCG@10, as `choose_weights` does for whole catalogues.

    The towers weigh 1, the others nothing at first. The move that gains most is made as long as its mean gain exceeds
    `certainty` standard errors, users paired with themselves.

    Args:
        grid: weights tried.
        passes: moves, at most.
        certainty: in standard errors.
    """

    reads_facts = False

    def __init__(self, grid: Sequence[float], passes: int, certainty: float) -> None:
        require("fusion.passes", passes, 0)
        require("fusion.certainty", certainty, 0)
        self.grid, self.passes, self.certainty = list(grid), passes, certainty

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> WeightedScores:
        """Choose the weights."""
        deviations = _deviations(labelled.pools)
        standard = labelled.pools.scores / deviations  # [T, C]
        weights = np.zeros(len(channels))
        weights[0] = 1.0
        best = labelled.ndcg(standard @ weights)
        for _ in range(self.passes):
            found = None
            for channel in range(1, len(channels)):
                for value in self.grid:
                    moved = weights.copy()
                    moved[channel] = value
                    gains = labelled.ndcg(standard @ moved) - best
                    sure = gains.mean() > self.certainty * gains.std() / len(gains) ** 0.5
                    if sure and (found is None or gains.mean() > found[0]):
                        found = (gains.mean(), moved)
            if found is None:
                break
            weights = found[1]
            best = labelled.ndcg(standard @ weights)
        return WeightedScores(weights.tolist(), deviations.tolist())


def _deviations(pools: Pools) -> NDArray[np.float64]:
    """Of each channel's scores over all candidates, [C]; 1 for one that says the same of all."""
    deviations = pools.scores.astype(np.float64).std(axis=0)
    deviations[deviations < 1e-9] = 1.0
    return np.asarray(deviations)
