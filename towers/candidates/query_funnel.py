"""The funnel that answers queries, beside the towers of its run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.candidates.candidate_pool import rescaled
from towers.candidates.funnel import QUERY_FUNNEL, Funnel
from towers.candidates.funnel_record import FunnelRecord
from towers.candidates.labelled_pools import LabelledPools
from towers.candidates.pool_builder import labelled_pools, pools_of
from towers.events.history import History
from towers.metrics.cases import Cases
from towers.model.scorer import Recall, VectorScorer


@dataclass(frozen=True)
class QueryFunnel:
    """A run's funnel that answers queries, beside its towers.

    Attributes:
        funnel: the channels and their order.
        towers: the model's one vector.
        source: of the queries that it learnt from.
        learnt: the judged queries among them.
    """

    funnel: Funnel
    towers: VectorScorer
    source: str
    learnt: frozenset[str]

    @classmethod
    def of(cls, run: Path, fingerprint: str, towers: VectorScorer) -> Self | None:
        """A run's funnel; None where it has none.

        Args:
            run: its folder.
            fingerprint: of the run's towers.
            towers: the model's one vector.

        Raises:
            UsageError: the funnel was trained for other towers.
        """
        folder = run / QUERY_FUNNEL
        if not folder.is_dir():
            return None
        record = FunnelRecord.read(folder)
        record.check(folder, fingerprint)
        return cls(Funnel.load(folder), towers, record.result.source, frozenset(record.judged_queries))

    @property
    def name(self) -> str:
        """The row's name in tables."""
        return f"served: {' + '.join(self.funnel.names)}"

    def recall(self, depth: int) -> Recall:
        """Recall as a cross-encoder is given it: the first `depth` in the fused order, in the towers' unit.

        The other items have the towers' own scores, none above those.
        """

        def fused(histories: Sequence[History], queries: Sequence[str]) -> Tensor:
            scores = self.towers.score(histories, queries)  # [B, N]
            pools = pools_of(self.funnel, histories, queries, scores, [np.zeros(0, np.int64)] * len(histories))
            for of_user, pool in zip(scores, pools, strict=True):
                in_pool = self.funnel.fusion.scores(pool)
                first = pool.order(in_pool)[:depth]
                rows = torch.from_numpy(pool.rows[first])
                moved = torch.from_numpy(rescaled(in_pool[first].astype(np.float32), of_user[rows].numpy()))
                of_user.clamp_(max=np.nextafter(moved[-1].item(), -np.inf, dtype=np.float32).item())
                of_user[rows] = moved
            return scores

        return fused

    def answers(self, cases: Cases) -> tuple[LabelledPools, NDArray[np.float64]]:
        """A server's candidates for some cases, and their scores [T], if its index recalls as exact search does."""
        labelled = labelled_pools(self.funnel, self.towers, cases)
        return labelled, self.funnel.fusion.scores(labelled.pools)
