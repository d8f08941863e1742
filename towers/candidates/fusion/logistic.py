"""Logistic regression over candidates: the default of the learnt fusions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from data_prep.config import require
from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.fusion.features import feature_names, fusion_features
from towers.candidates.fusion.fusion import FittedFusion
from towers.candidates.labelled_pools import LabelledPools


@dataclass(frozen=True)
class Weights(FittedFusion):
    """A weighted sum of standardised features; an unknown one counts as average.

    Attributes:
        names: of the features, [F].
        means, deviations: of each over the candidates it was fitted to, [F].
        weights: of each, in its deviations, [F].
    """

    kind: ClassVar[str] = "logistic"

    names: list[str]
    means: list[float]
    deviations: list[float]
    weights: list[float]

    def scores(self, pools: CandidatePools) -> NDArray[np.float64]:
        """[T]; log odds but for a constant of each user."""
        return np.asarray(standardised(fusion_features(pools), self.means, self.deviations) @ np.array(self.weights))


class Logistic:
    """Conditional logistic regression: which candidates of a user's pool were relevant, given that some were.

    A user's relevant candidates share one unit of probability, so heavy shoppers do not outweigh the rest. What all
    candidates of a user have in common cancels out. Source: McFadden, "Conditional logit analysis of qualitative choice
    behavior", 1974; fitted by L-BFGS.

    Args:
        penalty: of the squared weights, in users.
        iterations: at most.
    """

    reads_item_features = True

    def __init__(self, penalty: float, iterations: int) -> None:
        require("penalty", penalty, 0)
        require("iterations", iterations, 1)
        self.penalty, self.iterations = penalty, iterations

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> Weights:
        """Learn the weights.

        Raises:
            GateFailed: no pool holds a relevant item.
        """
        learning = labelled.learnable()
        raw = fusion_features(learning.pools)
        means = np.nan_to_num(_nan_mean(raw))
        deviations = np.sqrt(np.nan_to_num(_nan_mean((raw - means) ** 2)))
        deviations[deviations < 1e-6] = 1.0
        features = standardised(raw, means, deviations)  # [T, F]
        target = learning.relevant / np.bincount(learning.pools.users, learning.relevant)[learning.pools.users]  # [T]
        starts, users = learning.pools.offsets[:-1], learning.pools.users

        def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scores = features @ weights.astype(np.float32)
            raised = np.exp(scores - np.maximum.reduceat(scores, starts)[users])
            chances = raised / np.add.reduceat(raised, starts)[users]
            value = -float(np.log(np.maximum(chances, 1e-30)) @ target) + self.penalty / 2 * float(weights @ weights)
            return value, (chances - target) @ features + self.penalty * weights

        fitted = minimize(
            loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": self.iterations}
        )
        return Weights(feature_names(channels), means.tolist(), deviations.tolist(), fitted.x.tolist())


def standardised(raw: NDArray[np.float32], means: ArrayLike, deviations: ArrayLike) -> NDArray[np.float32]:
    """Features [T, F] less their means, over their deviations; 0 for NaN."""
    standard: NDArray[np.float32] = np.nan_to_num(
        (raw - np.asarray(means, np.float32)) / np.asarray(deviations, np.float32)
    )
    return standard


def _nan_mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Column means of the values that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=0, dtype=np.float64) / known.sum(axis=0)
    return mean
