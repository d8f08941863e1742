"""The pipeline of a request: recall, rerank, and the two in a row. Rows in, rows out; no messages, no transport."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index import exact_scores
from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason, Pressure
from retrieval_server.api.errors import NoCrossEncoder
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.cross_encoding import CandidateTexts, CrossEncoderRunner
from retrieval_server.pipeline.diversify import ScoredRows, choose
from retrieval_server.pipeline.fallback import fallback_of
from retrieval_server.pipeline.filter import allowed_rows
from retrieval_server.pipeline.profile import RequesterProfile, rows_of
from retrieval_server.pipeline.recall import BatchedRecall, Ranking
from retrieval_server.pipeline.results import LOWEST_SCORE, Constraints, RecallResult, RecommendResult, RerankResult
from towers.candidates import FittedFusion
from towers.diversity import unit

SIMILAR_DEPTH = 4
"""Items looked at for each similar one asked for: the index orders by inner product, the answer by angle."""


class Pipeline:
    """The stages of a request, on the means that all requests share.

    Args:
        recall: searches.
        cross_encoding: runs cross-encoders.
    """

    def __init__(self, recall: BatchedRecall, cross_encoding: CrossEncoderRunner) -> None:
        self._recall = recall
        self._cross_encoding = cross_encoding

    def recall(
        self, bundle: ServedBundle, profile: RequesterProfile, constraints: Constraints, budget: Budget
    ) -> RecallResult:
        """The best items of the whole catalogue, or the best that are not all alike.

        Args:
            bundle: where to look.
            profile: of the requester.
            constraints: what may come back.
            budget: the request's means.

        Raises:
            InvalidRequest: the items lack a column that the filter asks of.
        """
        recalled = self._best(bundle, profile, constraints, max(constraints.k, constraints.pool), budget)
        pool = ScoredRows(recalled.rows, recalled.scores, len(recalled.rows))
        choice = choose(bundle, pool, constraints.k, constraints.diversity, budget)
        return RecallResult(
            recalled.rows[choice.positions], recalled.scores[choice.positions], choice.diversified, recalled
        )

    def rerank(
        self, bundle: ServedBundle, profile: RequesterProfile, candidate_ids: Sequence[str], budget: Budget
    ) -> RerankResult:
        """Order candidates by reading them together with the history and the query, and by the towers' own scores.

        Args:
            bundle: where to look.
            profile: of the requester.
            candidate_ids: the items to order; a repeated one counts once.
            budget: the request's means.

        Raises:
            NoCrossEncoder: the bundle has none.
        """
        if bundle.cross_encoder is None:
            raise NoCrossEncoder(bundle.version)
        distinct = dict.fromkeys(candidate_ids)
        unknown = [item_id for item_id in distinct if item_id not in bundle.row_of]
        rows = rows_of(bundle, list(distinct))  # [n known]
        with budget.stage(AnswerStage.ENCODE):
            (vector,) = bundle.user_encoder.encode([profile.history], [profile.query])  # [d] or [interests, d]
        recall_scores = exact_scores(bundle.vectors[rows], vector)  # [n known]
        reranked, order, scores = self._reranked(bundle, profile, Ranking(rows, recall_scores), budget)
        return RerankResult(
            item_ids=[*bundle.item_ids[rows[order]], *unknown],
            scores=[*scores.tolist(), *[LOWEST_SCORE] * len(unknown)],
            titles=[*bundle.titles[rows[order]], *[""] * len(unknown)],
            unknown=unknown,
            reranked=reranked,
        )

    def recommend(
        self, bundle: ServedBundle, profile: RequesterProfile, constraints: Constraints, budget: Budget
    ) -> RecommendResult:
        """The best items of the whole catalogue, or the best that are not all alike, by ranker or cross-encoder.

        A ranker was learnt from users without queries, so the cross-encoder orders what a query retrieves. Neither has
        anything to read of requesters without history: where there is a fallback, its order stands.

        Args:
            bundle: where to look.
            profile: of the requester.
            constraints: what may come back; all of its pool is reranked.
            budget: the request's means.

        Raises:
            InvalidRequest: as `recall`.
        """
        if fallback_of(bundle, profile) is not None:
            return self._as_recalled(bundle, profile, constraints, budget)
        ranker = bundle.funnel.ranker if bundle.funnel is not None else None
        if ranker is not None and not profile.query:
            return self._ranked(bundle, ranker, profile, constraints, budget)
        uses_pool = bundle.cross_encoder is not None or constraints.diversity is not None
        count = max(constraints.k, constraints.pool if uses_pool else 0)
        recalled = self._best(bundle, profile, constraints, count, budget)
        if bundle.cross_encoder is None:
            budget.degraded[AnswerStage.RERANK] = DegradedReason.NO_CROSS_ENCODER
        reranked, order, scores = self._reranked(bundle, profile, recalled, budget)
        rows = recalled.rows[order]
        pool = ScoredRows(rows, scores, reranked or len(rows))
        choice = choose(bundle, pool, constraints.k, constraints.diversity, budget)
        return RecommendResult(
            rows=rows[choice.positions],
            scores=scores[choice.positions],
            recall_scores=recalled.scores[order][choice.positions],
            reranked=int(np.count_nonzero(choice.positions < reranked)),
            diversified=choice.diversified,
            ranked=False,
            recalled=recalled,
        )

    def similar(
        self, bundle: ServedBundle, rows: NDArray[np.int64], constraints: Constraints, budget: Budget
    ) -> Ranking:
        """The items whose vectors point where given ones do; of several, where the sum of their directions does.

        Args:
            bundle: where to look.
            rows: rows of the given items [n]; none of them comes back. Nothing is like nothing.
            constraints: what may come back.
            budget: the request's means.

        Raises:
            InvalidRequest: as `recall`.
        """
        if not len(rows):
            return Ranking(np.empty(0, np.int64), np.empty(0, np.float32))
        excluded = np.concatenate([rows, rows_of(bundle, constraints.exclude_ids)])
        with budget.stage(AnswerStage.SEARCH):
            direction = unit(bundle.vectors[rows]).sum(axis=0)  # [d]
            query = unit(direction[np.newaxis]).astype(np.float32)  # [1, d]
            allowed = allowed_rows(bundle, constraints.filter)
            (hits,) = bundle.index.search(query, SIMILAR_DEPTH * constraints.k, [excluded], allowed)
            cosines = exact_scores(unit(bundle.vectors[hits.rows]), query[0])  # [depth]
        best = _descending(cosines)[: constraints.k]
        return Ranking(hits.rows[best], cosines[best])

    def close(self) -> None:
        """Let go of the threads."""
        self._cross_encoding.close()

    def _as_recalled(
        self, bundle: ServedBundle, profile: RequesterProfile, constraints: Constraints, budget: Budget
    ) -> RecommendResult:
        """Recall's answer as it is."""
        result = self.recall(bundle, profile, constraints, budget)
        return RecommendResult(
            rows=result.rows,
            scores=result.scores,
            recall_scores=result.scores,
            reranked=0,
            diversified=result.diversified,
            ranked=False,
            recalled=result.recalled,
        )

    def _ranked(
        self,
        bundle: ServedBundle,
        ranker: FittedFusion,
        profile: RequesterProfile,
        constraints: Constraints,
        budget: Budget,
    ) -> RecommendResult:
        """The best of the pool's head in the ranker's order, or the best that are not all alike."""
        pool_size = constraints.pool if constraints.diversity is not None else 0
        recalled = self._best(bundle, profile, constraints, max(constraints.k, pool_size), budget)
        assert recalled.pool is not None  # there is a funnel, and no query
        head, fused = recalled.pool.candidates, recalled.pool.fused
        with budget.stage(AnswerStage.BLEND):
            ranker_scores = ranker.scores(head)
            order = head.order(ranker_scores)
        rows, scores = head.rows[order], ranker_scores[order].astype(np.float32)
        choice = choose(bundle, ScoredRows(rows, scores, len(rows)), constraints.k, constraints.diversity, budget)
        return RecommendResult(
            rows=rows[choice.positions],
            scores=scores[choice.positions],
            recall_scores=fused[order][choice.positions].astype(np.float32),
            reranked=0,
            diversified=choice.diversified,
            ranked=True,
            recalled=recalled,
        )

    def _best(
        self, bundle: ServedBundle, profile: RequesterProfile, constraints: Constraints, count: int, budget: Budget
    ) -> Ranking:
        """The best items that may come back, so many of them."""
        seen = profile.seen if bundle.exclude_seen and not constraints.include_seen else np.empty(0, np.int64)
        excluded = np.concatenate([seen, rows_of(bundle, constraints.exclude_ids)])
        return self._recall.best(bundle, profile, count, excluded, constraints.filter, budget)

    def _reranked(
        self, bundle: ServedBundle, profile: RequesterProfile, ranking: Ranking, budget: Budget
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
        """Rerank what there is time for: of how many, the positions of all rows in their new order, their scores."""
        rows, recall_scores = ranking.rows, ranking.scores
        recalled = _descending(recall_scores)  # positions of the rows, best first
        if budget.pressure >= Pressure.NO_RERANK:
            budget.degraded[AnswerStage.RERANK] = DegradedReason.OVERLOAD
        if bundle.cross_encoder is None or not len(rows) or budget.pressure >= Pressure.NO_RERANK:
            return 0, recalled, recall_scores[recalled]
        template = bundle.cross_encoder.input_template
        read = profile.history.last(template.context_items)
        candidates = CandidateTexts(
            context=template.context(list(bundle.titles[read.rows]), read.events, profile.query),
            texts=list(bundle.texts[rows[recalled]]),
            recall_scores=ranking.for_cross_encoder()[recalled],
        )
        with budget.stage(AnswerStage.RERANK):
            scored = self._cross_encoding.score(bundle.cross_encoder, candidates, budget)
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
