"""What a request computes: recall, rerank, and the two in a row. Rows in, rows out; no messages, no transport."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import exact_scores
from retrieval_server.errors import NoReranker
from retrieval_server.profile import Profile
from retrieval_server.served_bundle import Scoring, ServedBundle
from towers import render_context

RERANK = "rerank"
"""Name of the stage that an answer lists under `degraded` when it was skipped."""

UNKNOWN_SCORE = float(np.finfo(np.float32).min)
"""Score of a candidate that the bundle does not have: below every real one, and still a number in JSON."""


@dataclass(frozen=True)
class Ranking:
    """Rows in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: what put them into this order [n], descending.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Reranked:
    """Candidates in the order to show them.

    Attributes:
        item_ids: every distinct candidate [n], the unknown ones last.
        scores: the reranker's scores [n], descending; `UNKNOWN_SCORE` for an unknown candidate.
        titles: titles [n], "" for an unknown candidate.
        unknown: the candidates that the bundle does not have, in the request's order.
    """

    item_ids: Sequence[str]
    scores: Sequence[float]
    titles: Sequence[str]
    unknown: Sequence[str]


@dataclass(frozen=True)
class Recommended:
    """Recalled items in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: what put them into this order [n], descending.
        recall_scores: what recall gave each of them [n].
        degraded: the stages that were skipped.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    recall_scores: NDArray[np.float32]
    degraded: Sequence[str]


def recall(bundle: ServedBundle, profile: Profile, k: int, include_seen: bool) -> Ranking:
    """The best items of the whole catalogue.

    Args:
        bundle: where to look.
        profile: who is asking.
        k: how many items at most.
        include_seen: whether items of the history may be among them even if the bundle keeps them out.
    """
    vector = bundle.user_encoder.encode([profile.history], [profile.query])  # [1, d] or [1, interests, d]
    exclude = [profile.seen] if bundle.exclude_seen and not include_seen else None
    (hits,) = bundle.index.search(vector, k, exclude)
    return Ranking(hits.rows, hits.scores)


def rerank(bundle: ServedBundle, profile: Profile, candidate_ids: Sequence[str]) -> Reranked:
    """Order candidates by reading them together with the history and the query, and by the towers' own scores.

    Args:
        bundle: where to look.
        profile: who is asking.
        candidate_ids: the items to order; a repeated one counts once.

    Raises:
        NoReranker: the bundle cannot.
    """
    if bundle.reranker is None:
        raise NoReranker(bundle.version)
    distinct = dict.fromkeys(candidate_ids)
    unknown = [item_id for item_id in distinct if item_id not in bundle.row_of]
    rows = np.array([bundle.row_of[i] for i in distinct if i in bundle.row_of], np.int64)  # [n known]
    (vector,) = bundle.user_encoder.encode([profile.history], [profile.query])  # [d] or [interests, d]
    recall_scores = exact_scores(bundle.vectors[rows], vector)  # [n known]
    scores = _score(bundle, bundle.reranker, profile, rows, recall_scores)  # [n known]
    order = _descending(scores)
    return Reranked(
        item_ids=[*bundle.item_ids[rows[order]], *unknown],
        scores=[*scores[order].tolist(), *[UNKNOWN_SCORE] * len(unknown)],
        titles=[*bundle.titles[rows[order]], *[""] * len(unknown)],
        unknown=unknown,
    )


def recommend(bundle: ServedBundle, profile: Profile, k: int, include_seen: bool, candidates: int) -> Recommended:
    """The best items of the whole catalogue, put into the reranker's order.

    Args:
        bundle: where to look.
        profile: who is asking.
        k: how many items at most.
        include_seen: whether items of the history may be among them even if the bundle keeps them out.
        candidates: how many items to recall and rerank; k at least are.
    """
    if bundle.reranker is None:
        recalled = recall(bundle, profile, k, include_seen)
        return Recommended(recalled.rows, recalled.scores, recalled.scores, degraded=(RERANK,))
    recalled = recall(bundle, profile, max(k, candidates), include_seen)
    scores = _score(bundle, bundle.reranker, profile, recalled.rows, recalled.scores)  # [candidates]
    best = _descending(scores)[:k]
    return Recommended(recalled.rows[best], scores[best], recalled.scores[best], degraded=())


def _score(
    bundle: ServedBundle,
    reranker: Scoring,
    profile: Profile,
    rows: NDArray[np.int64],
    recall_scores: NDArray[np.float32],
) -> NDArray[np.float32]:
    if not len(rows):
        return np.empty(0, np.float32)
    read = profile.history.last(reranker.context_items)
    context = render_context(list(bundle.titles[read.rows]), profile.query)
    return reranker.score(context, list(bundle.texts[rows]), recall_scores)


def _descending(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order from the highest score to the lowest, equal ones as they came."""
    return np.argsort(-scores, kind="stable")
