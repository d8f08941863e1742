"""Reciprocal rank fusion: only ranks count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.config import require
from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.fusion.fusion import FittedFusion
from towers.candidates.labelled_pools import LabelledPools


@dataclass(frozen=True)
class ReciprocalRank(FittedFusion):
    """A sum over channels of 1 / (constant + rank), nothing for what a channel did not offer. Nothing is learnt.

    Source: Cormack, Clarke & Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", SIGIR 2009; they have 60.

    Attributes:
        constant: how little the first ranks stand out.
    """

    kind: ClassVar[str] = "reciprocal_rank"
    reads_item_features: ClassVar[bool] = False

    constant: float

    def __post_init__(self) -> None:
        require("fusion.constant", self.constant, 0)

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> Self:
        """Itself."""
        return self

    def scores(self, pools: CandidatePools) -> NDArray[np.float64]:
        """[T]."""
        return np.asarray(reciprocal(pools, self.constant).sum(axis=1))


def reciprocal(pools: CandidatePools, constant: float) -> NDArray[np.float64]:
    """1 / (constant + rank) by channel, 0 for what it did not offer, [T, C]."""
    ranks = pools.channel_ranks.astype(np.float64)
    return np.where(ranks > 0, 1 / (constant + np.maximum(ranks, 1)), 0.0)
