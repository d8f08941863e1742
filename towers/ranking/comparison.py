"""Whether a cross-encoder is worth it: its order beside the recall order of the same candidates, case by case."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from towers.metrics.bootstrap import Bootstrap
from towers.metrics.paired import PairedComparison, greedy_ascent
from towers.metrics.ranking_metrics import CUTOFF, NOT_FOUND, graded_ndcg
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.mining import CandidateGroup, Shortlist


def shortlist_ndcg(shortlist: Shortlist, scores: NDArray[np.float32]) -> float:
    """NDCG@10 of a reordered shortlist (see `graded_ndcg`); items that were not retrieved count as not found.

    Args:
        shortlist: the candidates.
        scores: order them, [K]; equal ones keep recall's order.
    """
    ranks = np.full(len(shortlist.rows) + len(shortlist.not_retrieved_rows), NOT_FOUND)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(shortlist.rows) + 1)
    grades = torch.from_numpy(np.append(shortlist.grades, shortlist.not_retrieved_grades))
    return float(graded_ndcg(torch.from_numpy(ranks), torch.zeros(len(ranks), dtype=torch.int64), grades, 1, CUTOFF))


def text_scores(
    model: CrossEncoder, lists: Sequence[Shortlist | CandidateGroup], texts: Sequence[str]
) -> list[NDArray[np.float32]]:
    """The score of each candidate by its text, [K] for each list: the model's score but for recall's part.

    Args:
        model: the cross-encoder.
        lists: shortlists, or groups out of them.
        texts: text of every item, [N].
    """
    return [
        model.score(
            candidates.context, [texts[row] for row in candidates.rows], np.zeros(len(candidates.rows), np.float32)
        )
        for candidates in lists
    ]


def ndcg_of(
    lists: Sequence[Shortlist], by_text: Sequence[NDArray[np.float32]], recall_weight: float
) -> NDArray[np.float64]:
    """NDCG@10 of each list in the cross-encoder's order, [n].

    Args:
        lists: n shortlists.
        by_text: of each the `text_scores`, times any weight.
        recall_weight: weight of recall's scores beside them.
    """
    return np.array(
        [
            shortlist_ndcg(shortlist, scores + recall_weight * shortlist.scores)
            for shortlist, scores in zip(lists, by_text, strict=True)
        ]
    )


def choose_ranker_weight(
    lists: Sequence[Shortlist],
    by_text: Sequence[NDArray[np.float32]],
    recall_weight: float,
    weights: Sequence[float],
) -> float:
    """The weight of the `text_scores` that orders best; the smallest of equals.

    A transformer trained on few groups is too sure of itself; a weight below 1 leaves more to recall, 0 everything.

    Args:
        lists, by_text, recall_weight: as of `ndcg_of`; cases that were not learnt from.
        weights: tried.
    """
    smallest, *larger = sorted(weights)

    def ndcg(weight: float) -> NDArray[np.float64]:
        return ndcg_of(lists, [weight * scores for scores in by_text], recall_weight)

    return greedy_ascent(
        smallest,
        moves=lambda weight: larger,
        figures=lambda weight, following: (ndcg(weight), [ndcg(other) for other in following]),
        certainty=0,
        steps=1,
    )


def compare_orders(lists: Sequence[Shortlist], reranked: NDArray[np.float64], bootstrap: Bootstrap) -> PairedComparison:
    """The cross-encoder's NDCG@10 beside that of the recall order.

    Args:
        lists: n shortlists the cross-encoder did not learn from.
        reranked: NDCG@10 of each in its order, [n].
        bootstrap: of the interval.
    """
    recalled = np.array([shortlist_ndcg(shortlist, shortlist.scores) for shortlist in lists])
    return PairedComparison.of(recalled, reranked, bootstrap)


def not_retrieved_share(lists: Sequence[Shortlist]) -> float:
    """The share of the relevant items that are not among the candidates; in both orders they count as not found."""
    relevant = sum(shortlist.relevant for shortlist in lists)
    return sum(shortlist.not_retrieved for shortlist in lists) / max(relevant, 1)
