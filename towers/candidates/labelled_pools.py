"""Labelled pools: candidates of users whose relevant items are known; fusions are fitted and evaluated on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from towers.candidates.candidate_pool import CandidatePools
from towers.metrics.ranking_metrics import CUTOFF, ndcg


@dataclass(frozen=True)
class LabelledPools:
    """Candidate pools and which of their items are relevant.

    Attributes:
        pools: of U users, T candidates.
        relevant: whether each candidate is, [T].
        not_retrieved: number of relevant items that are not in a user's pool, [U].
    """

    pools: CandidatePools
    relevant: NDArray[np.bool_]
    not_retrieved: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of users."""
        return len(self.pools)

    def of(self, users: NDArray[np.bool_]) -> "LabelledPools":
        """Some of the users, [U]."""
        return LabelledPools(self.pools.of(users), self.relevant[users[self.pools.users]], self.not_retrieved[users])

    def only(self, channels: Sequence[int]) -> "LabelledPools":
        """The same users as they were without the other channels; relevant items of those alone are not retrieved."""
        offered = self.pools.offered(channels)
        return LabelledPools(self.pools.only(channels), self.relevant[offered], self._not_retrieved_without(~offered))

    def kept(self, chosen: NDArray[np.bool_]) -> "LabelledPools":
        """The same users with some of their candidates, [T]; relevant ones among the others are not retrieved."""
        return LabelledPools(self.pools.kept(chosen), self.relevant[chosen], self._not_retrieved_without(~chosen))

    def _not_retrieved_without(self, dropped: NDArray[np.bool_]) -> NDArray[np.int64]:
        return self.not_retrieved + np.bincount(self.pools.users[self.relevant & dropped], minlength=len(self))

    def learnable(self) -> "LabelledPools":
        """The users whose pools hold a relevant item: only these say how to order candidates.

        Raises:
            GateFailed: there are none.
        """
        some = np.bincount(self.pools.users[self.relevant], minlength=len(self)) > 0
        if not some.any():
            raise GateFailed(f"none of {len(self)} users' pools holds a relevant item: nothing to learn from")
        return self.of(some)

    @property
    def not_retrieved_share(self) -> float:
        """The share of the relevant items that are in no pool."""
        not_retrieved, retrieved = int(self.not_retrieved.sum()), int(self.relevant.sum())
        return not_retrieved / max(not_retrieved + retrieved, 1)

    def ndcg(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """NDCG@10 of each user, [U], were the candidates shown in the order of some scores [T]."""
        users, ranks = self.pools.users[self.relevant], self.pools.ranks(scores)[self.relevant]
        relevant = np.bincount(users, minlength=len(self)) + self.not_retrieved
        item_ranks, of_users, numbers = (torch.from_numpy(part) for part in (ranks, users, relevant))
        return np.asarray(ndcg(item_ranks, of_users, numbers, CUTOFF).numpy(), np.float64)
