"""Recall as all requests share it: in batches, and not twice what was just computed."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index import Filter, ItemSearch
from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason, Pressure, StageSpan
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import BatchingConfig, CacheConfig
from retrieval_server.pipeline.batching import MicroBatcher
from retrieval_server.pipeline.fallback import fallback_items, fallback_of
from retrieval_server.pipeline.filter import allowed_rows
from retrieval_server.pipeline.hot_cache import HotCache
from retrieval_server.pipeline.pooling import FusedPool, UserHits, fused_pools
from retrieval_server.pipeline.profile import RequesterProfile
from retrieval_server.telemetry.observer import Observer
from towers import Funnel
from towers.candidates import TOWERS, Fallback, rescaled


@dataclass(frozen=True)
class Ranking:
    """Rows in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: of each, by which they are ordered [n], descending.
        pool: the channels' views, of these items and as many more as a ranker looks at; None where the index recalled
            alone.
        channel: the channel that recalled, where it was one alone.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    pool: FusedPool | None = None
    channel: str = TOWERS

    def for_cross_encoder(self) -> NDArray[np.float32]:
        """The scores of the rows [n] on the scale of the towers' scores, which a cross-encoder learnt to weigh."""
        return self.scores if self.pool is None else rescaled(self.scores, self.pool.channel_views(self.rows)[0][:, 0])


@dataclass(frozen=True)
class _RecallJob:
    """One user to search for, and the filter as the index takes it."""

    bundle: ServedBundle
    index: ItemSearch
    profile: RequesterProfile
    k: int
    excluded: NDArray[np.int64]
    filter: Filter | None
    allowed: object = None


@dataclass(frozen=True)
class _JobResult:
    ranking: Ranking
    spans: Sequence[StageSpan]


class BatchedRecall:
    """Finds the best items of the whole catalogue for each requester.

    Args:
        batching: how calls are gathered.
        cache: how long results are kept.
        observer: notes batches and lookups.

    Attributes:
        batcher: gathers calls.
    """

    def __init__(self, batching: BatchingConfig, cache: CacheConfig, observer: Observer) -> None:
        self.batcher = MicroBatcher(_compute, batching.largest, batching.window_ms / 1000, observer.batch)
        self._cache: HotCache[Ranking] = HotCache(cache.entries, cache.seconds, observer.looked_up)

    def best(
        self,
        bundle: ServedBundle,
        profile: RequesterProfile,
        k: int,
        excluded: NDArray[np.int64],
        conditions: Filter | None,
        budget: Budget,
    ) -> Ranking:
        """The k best items but the excluded ones; the first of the bundle's fallback where nothing is known.

        Args:
            bundle: where to look.
            profile: of the requester.
            k: how many items at most.
            excluded: rows that may not come back, in any order, with repetitions.
            conditions: on the items, None for none.
            budget: the request's means.

        Raises:
            InvalidRequest: the items lack a column that the filter asks of.
        """
        fallback = fallback_of(bundle, profile)
        index = bundle.index if fallback is not None else _index(bundle, budget)
        job = _RecallJob(bundle, index, profile, k, np.unique(excluded), conditions)

        def compute() -> Ranking:
            budget.require()
            started = time.monotonic()
            ready = replace(job, allowed=allowed_rows(bundle, conditions))
            if fallback is not None:
                return _by_fallback(fallback, ready, started, budget)
            filtered = time.monotonic()
            result = self.batcher.run((id(bundle), id(index), k), ready, budget)
            if conditions is not None:
                budget.spans.append(StageSpan(AnswerStage.SEARCH, started, filtered))
            budget.spans.extend(result.spans)
            return result.ranking

        return self._cache.get(_key(job), compute, budget)


def _by_fallback(fallback: Fallback, job: _RecallJob, started: float, budget: Budget) -> Ranking:
    """A fallback's items; all that was done since `started` was searching."""
    hits = fallback_items(fallback, job.index, len(job.bundle.item_ids), job.k, job.excluded, job.allowed)
    budget.spans.append(StageSpan(AnswerStage.SEARCH, started, time.monotonic()))
    return Ranking(hits.rows, hits.scores, channel=fallback.name)


def _index(bundle: ServedBundle, budget: Budget) -> ItemSearch:
    """The search to use: under much pressure the one that looks at less, where there is one."""
    if budget.pressure < Pressure.LESS_SEARCH or bundle.lighter_index is None:
        return bundle.index
    budget.degraded[AnswerStage.SEARCH] = DegradedReason.OVERLOAD
    return bundle.lighter_index


def _key(job: _RecallJob) -> Hashable:
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


def _compute(jobs: Sequence[_RecallJob]) -> Sequence[_JobResult]:
    """Search for several users of one bundle and one k: those of one filter and one funnel together."""
    bundle = jobs[0].bundle
    started = time.monotonic()
    # [B, d] or [B, interests, d]
    vectors = bundle.user_encoder.encode([job.profile.history for job in jobs], [job.profile.query for job in jobs])
    encoded = time.monotonic()
    queries_apart = bundle.funnel is not bundle.query_funnel
    kinds = [(job.filter, queries_apart and bool(job.profile.query)) for job in jobs]
    rankings: dict[int, Ranking] = {}
    for kind in dict.fromkeys(kinds):
        numbers = [number for number, job_kind in enumerate(kinds) if job_kind == kind]
        funnel = bundle.query_funnel if kind[1] else bundle.funnel
        of_kind = _rankings([jobs[number] for number in numbers], vectors[numbers], funnel)
        rankings.update(zip(numbers, of_kind, strict=True))
    spans = [StageSpan(AnswerStage.ENCODE, started, encoded), StageSpan(AnswerStage.SEARCH, encoded, time.monotonic())]
    return [_JobResult(rankings[number], spans) for number in range(len(jobs))]


def _rankings(jobs: Sequence[_RecallJob], vectors: NDArray[np.float32], funnel: Funnel | None) -> list[Ranking]:
    """The best items for users of one filter, whose vectors are known, by a funnel or by the index alone."""
    first = jobs[0]
    depth = first.k if funnel is None else max(first.k, funnel.depth)
    hits_of_users = first.index.search(vectors, depth, [job.excluded for job in jobs], first.allowed)
    if funnel is None:
        return [Ranking(hits.rows, hits.scores) for hits in hits_of_users]
    users = [
        UserHits(job.profile.history, job.profile.query, vector, hits, job.excluded, job.allowed)
        for job, vector, hits in zip(jobs, vectors, hits_of_users, strict=True)
    ]
    rankings = []
    for pool in fused_pools(first.bundle, funnel, first.index, users, max(first.k, funnel.candidates)):
        order = pool.order()[: first.k]
        rankings.append(Ranking(pool.candidates.rows[order], pool.fused[order].astype(np.float32), pool))
    return rankings
