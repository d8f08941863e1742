"""Pools of users of whom it is known what they relevant: what fusions are fitted to and judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from towers.candidates.candidate_pool import Pools

CUTOFF = 10
"""The k of the NDCG that fusions are chosen by."""


@dataclass(frozen=True)
class LabelledPools:
    """Pools and what was relevant.

    Attributes:
        pools: of U users, T candidates.
        relevant: which candidates were, [T].
        missed: how many relevant items are in no user's pool, [U]; they count as never found.
    """

    pools: Pools
    relevant: NDArray[np.bool_]
    missed: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of users."""
        return len(self.pools)

    def of(self, users: NDArray[np.bool_]) -> "LabelledPools":
        """Some of the users, [U]."""
        return LabelledPools(self.pools.of(users), self.relevant[users[self.pools.users]], self.missed[users])

    def only(self, channels: Sequence[int]) -> "LabelledPools":
        """The same users as they were without the other channels; what only those found is missed."""
        offered = self.pools.offered(channels)
        return LabelledPools(self.pools.only(channels), self.relevant[offered], self._missed_without(~offered))

    def kept(self, chosen: NDArray[np.bool_]) -> "LabelledPools":
        """The same users with some of their candidates, [T]; what is relevant of the others is missed."""
        return LabelledPools(self.pools.kept(chosen), self.relevant[chosen], self._missed_without(~chosen))

    def _missed_without(self, lost: NDArray[np.bool_]) -> NDArray[np.int64]:
        return self.missed + np.bincount(self.pools.users[self.relevant & lost], minlength=len(self))

    @property
    def missed_share(self) -> float:
        """The share of the relevant items that are in no user's pool."""
        missed, relevant = int(self.missed.sum()), int(self.relevant.sum())
        return missed / max(missed + relevant, 1)

    def ndcg(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """NDCG@10 of each user, [U], were the candidates shown in the order of some scores [T]."""
        users, ranks = self.pools.users, self.pools.ranks(scores)
        inside = self.relevant & (ranks <= CUTOFF)
        gains = np.bincount(users[inside], 1 / np.log2(1 + ranks[inside]), minlength=len(self))
        held_out = np.bincount(users[self.relevant], minlength=len(self)) + self.missed
        ideal = np.cumsum(1 / np.log2(np.arange(2, CUTOFF + 2)))
        found: NDArray[np.float64] = gains / ideal[np.clip(held_out, 1, CUTOFF) - 1]
        return found
