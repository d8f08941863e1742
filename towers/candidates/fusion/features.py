"""Features of candidates, as learnt fusions read them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.fusion.reciprocal_rank import reciprocal
from towers.candidates.item_statistics import ITEM_FEATURES

CONSTANT = 60
"""Of reciprocal ranks; see `ReciprocalRank`."""


def feature_names(channels: Sequence[str]) -> list[str]:
    """Names of the columns of `fusion_features`."""
    by_channel = [
        f"{channel}: {name}" for name in ("score", "standing", "offered", "reciprocal rank") for channel in channels
    ]
    return [*by_channel, *ITEM_FEATURES]


def fusion_features(pools: CandidatePools) -> NDArray[np.float32]:
    """All features of each candidate, [T, F], columns as `feature_names`; NaN where nothing is known.

    Of C channels score, standing (the score in deviations from its mean over the user's pool), whether they offered it,
    and reciprocal rank; and `ItemStatistics.item_features`.
    """
    standings = [standing(pools.users, column, len(pools)) for column in pools.scores.T]
    parts = [pools.scores, *standings, pools.channel_ranks > 0, reciprocal(pools, CONSTANT), pools.item_features]
    return np.concatenate([np.asarray(part, np.float32).reshape(len(pools.rows), -1) for part in parts], axis=1)


def standing(users: NDArray[np.int64], scores: NDArray[np.floating], number: int) -> NDArray[np.float64]:
    """Scores in deviations from their user's mean, 0 where all of a user's are equal, [T].

    Args:
        users: of each score, [T].
        scores: [T].
        number: of users.
    """
    count = np.maximum(np.bincount(users, minlength=number), 1)
    centred = scores - (np.bincount(users, scores, number) / count)[users]
    spread = np.sqrt(np.bincount(users, centred**2, number) / count)[users]
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
