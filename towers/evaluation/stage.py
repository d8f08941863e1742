"""A stage of the funnel: the order in which it leaves users' candidates."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome
from towers.metrics.ranking_metrics import NOT_FOUND, per_user

RECALL, FUSED, CROSS_ENCODER, RANKED, DIVERSIFIED = "recall", "fused", "cross-encoder", "ranked", "diversified"
"""Names of the stages, as they stand in tables."""


@dataclass(frozen=True)
class Stage:
    """An order of users' candidates.

    Attributes:
        name: of the stage.
        labelled: the candidates.
        scores: of each, [T]; NaN for one that the cross-encoder did not score.
        ranks: rank of each within its user's, from 1, [T].
    """

    name: str
    labelled: LabelledPools
    scores: NDArray[np.floating]
    ranks: NDArray[np.int64]

    @classmethod
    def by(cls, name: str, labelled: LabelledPools, scores: NDArray[np.floating]) -> "Stage":
        """The order of some scores."""
        return cls(name, labelled, scores, labelled.pools.ranks(scores))

    def outcome(self, cases: Cases) -> Outcome:
        """Metrics of the order, as of a scorer that ranks the whole catalogue; what is not retrieved is not found."""
        users = np.repeat(np.arange(len(cases)), [len(rows) for rows in cases.truth])
        ranks = self.ranks_of(users, np.concatenate(cases.truth))
        metrics = per_user(torch.from_numpy(ranks), torch.from_numpy(users), len(cases), cases.cutoffs)
        top = self.top(min(cases.cutoffs))
        return Outcome(self.name, torch.stack(list(metrics.values()), dim=1).numpy(), ranks, top)

    def ranks_of(self, users: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks of some items of some users, [n] both -> [n]; `NOT_FOUND` for what is not among the candidates."""
        pools = self.labelled.pools
        number = 1 + max(pools.rows.max(initial=0), rows.max(initial=0))
        keys, looked_up = pools.users * number + pools.rows, users * number + rows  # keys ascend
        at = np.minimum(np.searchsorted(keys, looked_up), len(keys) - 1)
        return np.where(keys[at] == looked_up, self.ranks[at], NOT_FOUND)

    def top(self, k: int) -> NDArray[np.int64]:
        """The first k items of each user, [U, k]; -1 where there are fewer."""
        pools, first = self.labelled.pools, self.ranks <= k
        top = np.full((len(pools), k), -1, np.int64)
        top[pools.users[first], self.ranks[first] - 1] = pools.rows[first]
        return top
