"""Recall by several channels: what the bundle's funnel makes of the index's answers and its own channels'."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import Hits, ItemSearch, exact_scores
from retrieval_server.bundles.served_bundle import ServedBundle
from towers import Funnel, History
from towers.candidates.candidate_pool import CandidatePools, ChannelCandidates


@dataclass(frozen=True)
class Pooled:
    """The head of one user's pool.

    Attributes:
        names: of the channels, the towers first.
        pool: the candidates, rows ascending, n of them.
        fused: score of each in the fused order [n].
    """

    names: Sequence[str]
    pool: CandidatePools
    fused: NDArray[np.float64]

    def said(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Scores and places, by each of C channels, of rows that are in the pool [n], [n, C] both."""
        at = np.searchsorted(self.pool.rows, rows)
        return self.pool.scores[at], self.pool.channel_ranks[at]

    def order(self) -> NDArray[np.int64]:
        """Positions in the pool in the fused order [n]."""
        return self.pool.order(self.fused)


@dataclass(frozen=True)
class Asking:
    """One user, and what the index found for them.

    Attributes:
        history: of the user, as far as the user encoder reads it.
        query: search text, "" for none.
        vector: of the user [d] or [interests, d].
        hits: what the index found, at least `Funnel.depth` items where there are as many.
        excluded: rows that may not come back.
        allowed: what the index takes for the filter; None for none.
    """

    history: History
    query: str
    vector: NDArray[np.float32]
    hits: Hits
    excluded: NDArray[np.int64]
    allowed: Any


def pooled(bundle: ServedBundle, funnel: Funnel, index: ItemSearch, users: Sequence[Asking], head: int) -> list[Pooled]:
    """Pool and fuse for several users.

    Args:
        bundle: where to look.
        funnel: the bundle's, for those who ask by a query or for those who do not.
        index: that found the hits.
        users: B of them.
        head: candidates of the fused order that are kept, at most.
    """

    def exact(user: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return exact_scores(bundle.vectors[rows], users[user].vector)

    def may(user: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        return index.returnable(rows, users[user].excluded, users[user].allowed)

    found = [ChannelCandidates(user.hits.rows, user.hits.scores) for user in users]
    histories, queries = [user.history for user in users], [user.query for user in users]
    pools = funnel.pools(histories, queries, found, exact, may)
    heads = []
    for pool in pools:
        fused = funnel.fusion.scores(pool)
        kept = pool.ranks(fused) <= head
        heads.append(Pooled(funnel.names, pool.kept(kept), fused[kept]))
    return heads
