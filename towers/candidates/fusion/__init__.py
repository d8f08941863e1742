"""From what channels say of candidates to one score: by places, by weighted scores, or learnt from everything known."""

from collections.abc import Mapping
from typing import Any

from towers.candidates.fusion.fusion import FittedFusion, Fusion
from towers.candidates.fusion.lambda_rank import LambdaRank, Trees
from towers.candidates.fusion.logistic import Logistic, Weights
from towers.candidates.fusion.reciprocal_rank import ReciprocalRank
from towers.candidates.fusion.weighted import FixedWeights, Weighted, WeightedScores

KINDS: dict[str, type[FittedFusion]] = {
    kind.__name__: kind for kind in (ReciprocalRank, WeightedScores, Weights, Trees)
}
"""Fitted fusions, by the names that their files have for them."""

__all__ = [
    "FittedFusion",
    "FixedWeights",
    "Fusion",
    "LambdaRank",
    "Logistic",
    "ReciprocalRank",
    "Weighted",
    "WeightedScores",
    "described",
    "restored",
]


def described(fusion: FittedFusion) -> dict[str, Any]:
    """A fusion as JSON; `restored` reads it."""
    return {"kind": type(fusion).__name__, **fusion.state()}


def restored(description: Mapping[str, Any]) -> FittedFusion:
    """The fusion that was `described`."""
    state = dict(description)
    return KINDS[state.pop("kind")].restore(state)
