"""What a request computes: recall, rerank, and the two in a row. Rows in, rows out; no messages, no transport."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Filter, exact_scores
from retrieval_server.api.budget import Budget, Pressure, Reason, Stage
from retrieval_server.api.errors import NoReranker
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.diversify import Diversified, choose
from retrieval_server.pipeline.fallback import fallback_of
from retrieval_server.pipeline.filter import narrowed
from retrieval_server.pipeline.profile import Profile, rows_of
from retrieval_server.pipeline.recall import Ranking, Recalling
from retrieval_server.pipeline.rerank import Reranking
from towers.candidates.fusion import FittedFusion
from towers.diversity import Diversity, unit

LOWEST_SCORE = float(np.finfo(np.float32).min)
"""Score of what was not scored: below every real one, and still a number in JSON."""

SIMILAR_DEPTH = 4
"""Items that are looked at for each similar one wanted: the index orders by inner product, the answer by angle."""


@dataclass(frozen=True)
class Wanted:
    """What may come back from the catalogue.

    Attributes:
        k: how many items at most.
        include_seen: whether items of the history may be among them even if the bundle keeps them out.
        exclude_ids: items that may not.
        filter: conditions on the items, None for none.
        diversity: what makes them unlike each other, None for nothing.
        pool: how many items they are chosen from, where that is more than k.
    """

    k: int
    include_seen: bool = False
    exclude_ids: Sequence[str] = ()
    filter: Filter | None = None
    diversity: Diversity | None = None
    pool: int = 0


@dataclass(frozen=True)
class Recalled:
    """Found items in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: what put them into this order [n], descending.
        diversified: how they were chosen among what was found; None for the best ones.
        recalled: what they were chosen from.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    diversified: Diversified | None
    recalled: Ranking


@dataclass(frozen=True)
class Reranked:
    """Candidates in the order to show them.

    Attributes:
        item_ids: every distinct candidate [n], the unknown ones last.
        scores: what put them into this order [n], descending; `LOWEST_SCORE` for one that was not scored.
        titles: titles [n], "" for an unknown candidate.
        unknown: the candidates that the bundle does not have, in the request's order.
        reranked: how many the reranker scored, the first ones.
    """

    item_ids: Sequence[str]
    scores: Sequence[float]
    titles: Sequence[str]
    unknown: Sequence[str]
    reranked: int


@dataclass(frozen=True)
class Recommended:
    """Recalled items in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: what put them into this order [n], descending; `LOWEST_SCORE` for one that was not scored.
        recall_scores: what recall gave each of them [n].
        reranked: how many the reranker scored, the first ones.
        diversified: how they were chosen among what was recalled; None for the best ones.
        ranked: whether a ranker gave the scores.
        recalled: what they were chosen from.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    recall_scores: NDArray[np.float32]
    reranked: int
    diversified: Diversified | None
    ranked: bool
    recalled: Ranking


class Pipeline:
    """The stages of a request, on the means that all requests share.

    Args:
        recalling: searches.
        reranking: runs rerankers.
    """

    def __init__(self, recalling: Recalling, reranking: Reranking) -> None:
        self._recalling = recalling
        self._reranking = reranking

    def recall(self, bundle: ServedBundle, profile: Profile, wanted: Wanted, budget: Budget) -> Recalled:
        """The best items of the whole catalogue, or the best that are not all alike.

        Args:
            bundle: where to look.
            profile: who is asking.
            wanted: what may come back.
            budget: the request's means.

        Raises:
            InvalidRequest: the items lack a column that the filter asks of.
        """
        found = self._found(bundle, profile, wanted, max(wanted.k, wanted.pool), budget)
        cut = choose(bundle, found.rows, found.scores, len(found.rows), wanted.k, wanted.diversity, budget)
        return Recalled(found.rows[cut.places], found.scores[cut.places], cut.diversified, found)

    def rerank(self, bundle: ServedBundle, profile: Profile, candidate_ids: Sequence[str], budget: Budget) -> Reranked:
        """Order candidates by reading them together with the history and the query, and by the towers' own scores.

        Args:
            bundle: where to look.
            profile: who is asking.
            candidate_ids: the items to order; a repeated one counts once.
            budget: the request's means.

        Raises:
            NoReranker: the bundle cannot.
        """
        if bundle.cross_encoder is None:
            raise NoReranker(bundle.version)
        distinct = dict.fromkeys(candidate_ids)
        unknown = [item_id for item_id in distinct if item_id not in bundle.row_of]
        rows = rows_of(bundle, list(distinct))  # [n known]
        with budget.stage(Stage.ENCODE):
            (vector,) = bundle.user_encoder.encode([profile.history], [profile.query])  # [d] or [interests, d]
        recall_scores = exact_scores(bundle.vectors[rows], vector)  # [n known]
        ranking = Ranking(rows, recall_scores)
        reranked, order, scores = self._ordered(bundle, profile, ranking, budget)
        return Reranked(
            item_ids=[*bundle.item_ids[rows[order]], *unknown],
            scores=[*scores.tolist(), *[LOWEST_SCORE] * len(unknown)],
            titles=[*bundle.titles[rows[order]], *[""] * len(unknown)],
            unknown=unknown,
            reranked=reranked,
        )

    def recommend(self, bundle: ServedBundle, profile: Profile, wanted: Wanted, budget: Budget) -> Recommended:
        """The best items of the whole catalogue, or the best that are not all alike, by ranker or reranker.

        A ranker was learnt from users who did not ask, so the reranker orders what a query finds. Neither has anything
        to read of those of whom nothing is known: where there is a fallback, its order stands.

        Args:
            bundle: where to look.
            profile: who is asking.
            wanted: what may come back; all of its pool is reranked.
            budget: the request's means.

        Raises:
            InvalidRequest: as `recall`.
        """
        if fallback_of(bundle, profile) is not None:
            return self._without_reading(bundle, profile, wanted, budget)
        ranker = bundle.funnel.ranker if bundle.funnel is not None else None
        if ranker is not None and not profile.query:
            return self._blended(bundle, ranker, profile, wanted, budget)
        needed = bundle.cross_encoder is not None or wanted.diversity is not None
        recalled = self._found(bundle, profile, wanted, max(wanted.k, wanted.pool if needed else 0), budget)
        if bundle.cross_encoder is None:
            budget.degraded[Stage.RERANK] = Reason.NO_RERANKER
        reranked, order, scores = self._ordered(bundle, profile, recalled, budget)
        rows = recalled.rows[order]
        cut = choose(bundle, rows, scores, reranked or len(rows), wanted.k, wanted.diversity, budget)
        return Recommended(
            rows=rows[cut.places],
            scores=scores[cut.places],
            recall_scores=recalled.scores[order][cut.places],
            reranked=int(np.count_nonzero(cut.places < reranked)),
            diversified=cut.diversified,
            ranked=False,
            recalled=recalled,
        )

    def _without_reading(self, bundle: ServedBundle, profile: Profile, wanted: Wanted, budget: Budget) -> Recommended:
        """Recall's answer as it is."""
        found = self.recall(bundle, profile, wanted, budget)
        return Recommended(
            rows=found.rows,
            scores=found.scores,
            recall_scores=found.scores,
            reranked=0,
            diversified=found.diversified,
            ranked=False,
            recalled=found.recalled,
        )

    def _blended(
        self, bundle: ServedBundle, ranker: FittedFusion, profile: Profile, wanted: Wanted, budget: Budget
    ) -> Recommended:
        """The best of the pool's head in the ranker's order, or the best that are not all alike."""
        pool = wanted.pool if wanted.diversity is not None else 0
        recalled = self._found(bundle, profile, wanted, max(wanted.k, pool), budget)
        assert recalled.pooled is not None  # there is a funnel, and no query
        head, fused = recalled.pooled.pool, recalled.pooled.fused
        with budget.stage(Stage.BLEND):
            ranked = ranker.scores(head)
            order = head.order(ranked)
        rows, scores = head.rows[order], ranked[order].astype(np.float32)
        cut = choose(bundle, rows, scores, len(rows), wanted.k, wanted.diversity, budget)
        return Recommended(
            rows=rows[cut.places],
            scores=scores[cut.places],
            recall_scores=fused[order][cut.places].astype(np.float32),
            reranked=0,
            diversified=cut.diversified,
            ranked=True,
            recalled=recalled,
        )

    def similar(self, bundle: ServedBundle, rows: NDArray[np.int64], wanted: Wanted, budget: Budget) -> Ranking:
        """The items whose vectors point where given ones do; of several, where the sum of their directions does.

        Args:
            bundle: where to look.
            rows: rows of the given items [n]; none of them comes back. Nothing is like nothing.
            wanted: what may come back.
            budget: the request's means.

        Raises:
            InvalidRequest: as `recall`.
        """
        if not len(rows):
            return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
        excluded = np.concatenate([rows, rows_of(bundle, wanted.exclude_ids)])
        with budget.stage(Stage.SEARCH):
            direction = unit(bundle.vectors[rows]).sum(axis=0)  # [d]
            query = unit(direction[np.newaxis]).astype(np.float32)  # [1, d]
            allowed = narrowed(bundle, wanted.filter)
            (hits,) = bundle.index.search(query, SIMILAR_DEPTH * wanted.k, [excluded], allowed)
            cosines = exact_scores(unit(bundle.vectors[hits.rows]), query[0])  # [depth]
        best = _descending(cosines)[: wanted.k]
        return Ranking(hits.rows[best], cosines[best])

    def close(self) -> None:
        """Let go of the threads."""
        self._reranking.close()

    def _found(self, bundle: ServedBundle, profile: Profile, wanted: Wanted, count: int, budget: Budget) -> Ranking:
        """The best items that may come back, so many of them."""
        seen = profile.seen if bundle.exclude_seen and not wanted.include_seen else np.empty(0, np.int64)
        excluded = np.concatenate([seen, rows_of(bundle, wanted.exclude_ids)])
        return self._recalling.best(bundle, profile, count, excluded, wanted.filter, budget)

    def _ordered(
        self,
        bundle: ServedBundle,
        profile: Profile,
        ranking: Ranking,
        budget: Budget,
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """Rerank what there is time for: of how many, the places of all rows in their new order, their scores."""
        rows, recall_scores = ranking.rows, ranking.scores
        recalled = _descending(recall_scores)  # places of the rows, best first
        if budget.pressure >= Pressure.NO_RERANK:
            budget.degraded[Stage.RERANK] = Reason.OVERLOAD
        if bundle.cross_encoder is None or not len(rows) or budget.pressure >= Pressure.NO_RERANK:
            return 0, recalled, recall_scores[recalled]
        input_template = bundle.cross_encoder.input_template
        read = profile.history.last(input_template.context_items)
        context = input_template.context(list(bundle.titles[read.rows]), read.events, profile.query)
        texts = list(bundle.texts[rows[recalled]])
        weighed = ranking.for_reranker()[recalled]
        with budget.stage(Stage.RERANK):
            scored = self._reranking.score(bundle.cross_encoder, context, texts, weighed, budget)
        count = len(scored)
        if not count:
            return 0, recalled, recall_scores[recalled]
        # Equal scores keep the order that the rows came in.
        first = np.lexsort((recalled[:count], -scored))
        order = np.concatenate([recalled[:count][first], recalled[count:]])
        unscored = np.full(len(rows) - count, LOWEST_SCORE, np.float32)
        return count, order, np.concatenate([scored[first], unscored])


def _descending(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order from the highest score to the lowest, equal ones as they came."""
    return np.argsort(-scores, kind="stable")
