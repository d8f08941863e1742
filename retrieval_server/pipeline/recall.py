"""Recall as all requests share it: in batches, and not twice what was just computed."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import Filter, ItemSearch
from retrieval_server.api.budget import Budget, Pressure, Reason, Stage, Took
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import Batch, Cache
from retrieval_server.pipeline.batching import MicroBatcher
from retrieval_server.pipeline.fallback import fallback_of, listed
from retrieval_server.pipeline.filter import narrowed
from retrieval_server.pipeline.hot_cache import HotCache
from retrieval_server.pipeline.pooling import Asking, Pooled, pooled
from retrieval_server.pipeline.profile import Profile
from retrieval_server.telemetry.observation import Observer
from towers import Funnel
from towers.candidates.candidate_pool import TOWERS, rescaled
from towers.candidates.fallback import Fallback


@dataclass(frozen=True)
class Ranking:
    """Rows in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: what put them into this order [n], descending.
        pooled: what the channels of the bundle's funnel said, of these items and as many more as a ranker looks at;
            None where the index recalled alone.
        channel: who recalled, where it was one alone.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    pooled: Pooled | None = None
    channel: str = TOWERS

    def for_reranker(self) -> NDArray[np.float32]:
        """The scores of the rows [n] as a reranker weighs them, which learnt what the towers' scores are worth."""
        return self.scores if self.pooled is None else rescaled(self.scores, self.pooled.said(self.rows)[0][:, 0])


@dataclass(frozen=True)
class _Job:
    """One user to search for, and what the index takes for the filter."""

    bundle: ServedBundle
    index: ItemSearch
    profile: Profile
    k: int
    excluded: NDArray[np.int64]
    filter: Filter | None
    allowed: Any = None


@dataclass(frozen=True)
class _Found:
    ranking: Ranking
    took: Sequence[Took]


class Recalling:
    """Finds the best items of the whole catalogue for whoever asks.

    Args:
        batch: how calls are gathered.
        cache: what is kept of them.
        observer: is told of batches and lookups.

    Attributes:
        batcher: gathers calls.
    """

    def __init__(self, batch: Batch, cache: Cache, observer: Observer) -> None:
        self.batcher = MicroBatcher(_compute, batch.largest, batch.window_ms / 1000, observer.batch)
        self._cache: HotCache[Ranking] = HotCache(cache.entries, cache.seconds, observer.looked_up)

    def best(
        self,
        bundle: ServedBundle,
        profile: Profile,
        k: int,
        excluded: NDArray[np.int64],
        wanted: Filter | None,
        budget: Budget,
    ) -> Ranking:
        """The k best items but the excluded ones; of those of whom nothing is known the first of the bundle's fallback.

        Args:
            bundle: where to look.
            profile: who is asking.
            k: how many items at most.
            excluded: rows that may not come back, in any order, with repetitions.
            wanted: conditions on the items, None for none.
            budget: the request's means.

        Raises:
            InvalidRequest: the items lack a column that the filter asks of.
        """
        fallback = fallback_of(bundle, profile)
        index = bundle.index if fallback is not None else _index(bundle, budget)
        job = _Job(bundle, index, profile, k, np.unique(excluded), wanted)

        def compute() -> Ranking:
            budget.require()
            started = time.monotonic()
            ready = replace(job, allowed=narrowed(bundle, wanted))
            if fallback is not None:
                return _fallen_back(fallback, ready, started, budget)
            narrowed_at = time.monotonic()
            found = self.batcher.run((id(bundle), id(index), k), ready, budget)
            if wanted is not None:
                budget.took.append(Took(Stage.SEARCH, started, narrowed_at))
            budget.took.extend(found.took)
            return found.ranking

        return self._cache.get(_key(job), compute, budget)


def _fallen_back(fallback: Fallback, job: _Job, started: float, budget: Budget) -> Ranking:
    """What a fallback answers; all that was done since `started` was searching."""
    hits = listed(fallback, job.index, len(job.bundle.item_ids), job.k, job.excluded, job.allowed)
    budget.took.append(Took(Stage.SEARCH, started, time.monotonic()))
    return Ranking(hits.rows, hits.scores, channel=fallback.name)


def _index(bundle: ServedBundle, budget: Budget) -> ItemSearch:
    """The search to use: under much pressure the one that looks at less, where there is one."""
    if budget.pressure < Pressure.LESS_SEARCH or bundle.lighter_index is None:
        return bundle.index
    budget.degraded[Stage.SEARCH] = Reason.OVERLOAD
    return bundle.lighter_index


def _key(job: _Job) -> Hashable:
    """All that an answer depends on."""
    history = job.profile.history
    return (
        job.bundle.version,
        job.bundle.edition,
        job.index is job.bundle.index,
        job.k,
        job.profile.query,
        history.rows.tobytes(),
        tuple(history.events),
        history.timestamps.tobytes(),
        tuple(sorted(history.attributes.items())),
        job.excluded.tobytes(),
        job.filter,
    )


def _compute(jobs: Sequence[_Job]) -> Sequence[_Found]:
    """Search for several users of one bundle who want as many items: those of one filter and one funnel together."""
    bundle = jobs[0].bundle
    started = time.monotonic()
    # [B, d] or [B, interests, d]
    vectors = bundle.user_encoder.encode([job.profile.history for job in jobs], [job.profile.query for job in jobs])
    encoded = time.monotonic()
    apart = bundle.funnel is not bundle.query_funnel
    kinds = [(job.filter, apart and bool(job.profile.query)) for job in jobs]
    rankings: dict[int, Ranking] = {}
    for kind in dict.fromkeys(kinds):
        places = [place for place, one in enumerate(kinds) if one == kind]
        funnel = bundle.query_funnel if kind[1] else bundle.funnel
        rankings.update(zip(places, _ranked([jobs[place] for place in places], vectors[places], funnel), strict=True))
    took = [Took(Stage.ENCODE, started, encoded), Took(Stage.SEARCH, encoded, time.monotonic())]
    return [_Found(rankings[place], took) for place in range(len(jobs))]


def _ranked(jobs: Sequence[_Job], vectors: NDArray[np.float32], funnel: Funnel | None) -> list[Ranking]:
    """The best items for users of one filter, whose vectors are known, by a funnel or by the index alone."""
    first = jobs[0]
    depth = first.k if funnel is None else max(first.k, funnel.depth)
    hits = first.index.search(vectors, depth, [job.excluded for job in jobs], first.allowed)
    if funnel is None:
        return [Ranking(found.rows, found.scores) for found in hits]
    users = [
        Asking(job.profile.history, job.profile.query, vector, found, job.excluded, job.allowed)
        for job, vector, found in zip(jobs, vectors, hits, strict=True)
    ]
    rankings = []
    for one in pooled(first.bundle, funnel, first.index, users, max(first.k, funnel.candidates)):
        order = one.order()[: first.k]
        rankings.append(Ranking(one.pool.rows[order], one.fused[order].astype(np.float32), one))
    return rankings
