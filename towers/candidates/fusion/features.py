"""What learnt fusions see of a candidate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from towers.candidates.candidate_pool import Pools
from towers.candidates.fusion.reciprocal_rank import reciprocal
from towers.candidates.item_statistics import ABOUT

CONSTANT = 60
"""Of reciprocal ranks; see `ReciprocalRank`."""


def feature_names(channels: Sequence[str]) -> list[str]:
    """Names of the columns of `features`."""
    by_channel = [
        f"{channel}: {what}" for what in ("score", "standing", "offered", "reciprocal rank") for channel in channels
    ]
    return [*by_channel, *ABOUT]


def features(pools: Pools) -> NDArray[np.float32]:
    """All that is known of each candidate, [T, F], columns as `feature_names`; NaN where nothing is.

    Of C channels score, standing (the score in deviations from its mean over the user's pool), whether they offered it,
    and reciprocal rank; and what `ItemStatistics.about` tells.
    """
    standings = [standing(pools.users, column, len(pools)) for column in pools.scores.T]
    parts = [pools.scores, *standings, pools.places > 0, reciprocal(pools, CONSTANT), pools.about]
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
