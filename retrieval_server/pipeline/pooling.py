"""Recall by several channels: the index's hits and the other channels' candidates, pooled and fused by a funnel."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Hits, ItemSearch, exact_scores
from retrieval_server.bundles.served_bundle import ServedBundle
from towers import Funnel, History
from towers.candidates import CandidatePools, ChannelCandidates


@dataclass(frozen=True)
class FusedPool:
    """The head of one user's pool of candidates in the fused order.

    Attributes:
        channel_names: of the channels, the towers first.
        candidates: the candidates, rows ascending, n of them.
        fused: score of each in the fused order [n].
    """

    channel_names: Sequence[str]
    candidates: CandidatePools
    fused: NDArray[np.float64]

    def channel_views(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Scores and places, by each of C channels, of rows that are in the pool [n], [n, C] both."""
        positions = np.searchsorted(self.candidates.rows, rows)
        return self.candidates.scores[positions], self.candidates.channel_ranks[positions]

    def order(self) -> NDArray[np.int64]:
        """Positions in the pool in the fused order [n]."""
        return self.candidates.order(self.fused)


@dataclass(frozen=True)
class UserHits:
    """One user, and the index's hits for them.

    Attributes:
        history: of the user, as far as the user encoder reads it.
        query: search text, "" for none.
        vector: of the user [d] or [interests, d].
        hits: of the index, at least `Funnel.depth` items where there are as many.
        excluded: rows that may not come back.
        allowed: the filter as the index takes it; None for none.
    """

    history: History
    query: str
    vector: NDArray[np.float32]
    hits: Hits
    excluded: NDArray[np.int64]
    allowed: object


def fused_pools(
    bundle: ServedBundle, funnel: Funnel, index: ItemSearch, users: Sequence[UserHits], head: int
) -> list[FusedPool]:
    """Pool and fuse the candidates of several users.

    Args:
        bundle: where to look.
        funnel: the bundle's, for requests with a query or for those without.
        index: that found the hits.
        users: B of them.
        head: candidates of the fused order that are kept, at most.
    """

    def exact(user: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return exact_scores(bundle.vectors[rows], users[user].vector)

    def returnable(user: int, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        return index.returnable(rows, users[user].excluded, users[user].allowed)

    hits = [ChannelCandidates(user.hits.rows, user.hits.scores) for user in users]
    histories, queries = [user.history for user in users], [user.query for user in users]
    heads = []
    for pool in funnel.pools(histories, queries, hits, exact, returnable):
        fused = funnel.fusion.scores(pool)
        kept = pool.ranks(fused) <= head
        heads.append(FusedPool(funnel.names, pool.kept(kept), fused[kept]))
    return heads
