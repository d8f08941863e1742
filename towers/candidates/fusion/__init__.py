"""Fusions: the scores of several channels as one, by ranks, by weighted scores, or learnt from all features."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from towers.candidates.fusion.fusion import FittedFusion, Fusion
from towers.candidates.fusion.lambda_rank import LambdaRank, Trees
from towers.candidates.fusion.logistic import Logistic, Weights
from towers.candidates.fusion.reciprocal_rank import ReciprocalRank
from towers.candidates.fusion.weighted import FixedWeights, Weighted, WeightedScores

FUSIONS: dict[str, type[FittedFusion]] = {
    fusion.kind: fusion for fusion in (ReciprocalRank, WeightedScores, Weights, Trees)
}
"""Fitted fusions, by their kinds."""

__all__ = [
    "FittedFusion",
    "FixedWeights",
    "Fusion",
    "LambdaRank",
    "Logistic",
    "ReciprocalRank",
    "Weighted",
    "WeightedScores",
    "fusion_from_json",
    "fusion_to_json",
]


def fusion_to_json(fusion: FittedFusion) -> dict[str, Any]:
    """A fusion as JSON; `fusion_from_json` reads it."""
    return {"kind": fusion.kind, **asdict(fusion)}


def fusion_from_json(description: Mapping[str, Any]) -> FittedFusion:
    """The fusion that `fusion_to_json` wrote.

    Raises:
        DoesNotApply: this machine cannot score with it.
    """
    fields = dict(description)
    return FUSIONS[fields.pop("kind")](**fields)
