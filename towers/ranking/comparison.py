"""Whether a reranker is worth it: its order beside the recall order of the same candidates, case by case."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from towers.metrics.judgements import graded_ndcg
from towers.metrics.ranking_metrics import bootstrap_intervals
from towers.ranking.cross_encoder import CrossEncoder
from towers.ranking.groups import CandidateGroup
from towers.ranking.mining import Shortlist

CUTOFF = 10
NOT_FOUND = 1_000_000  # a rank


@dataclass(frozen=True)
class Comparison:
    """The two orders on cases that the reranker did not learn from.

    Attributes:
        cases: how many users or queries.
        recall_ndcg: mean NDCG@10 of the recall order.
        reranked_ndcg: of the reranker's.
        mean, low, high: of the difference, case by case, with its bootstrap interval.
        missed: share of the relevant items that were not among the candidates; in both figures they count as not found.
    """

    cases: int
    recall_ndcg: float
    reranked_ndcg: float
    mean: float
    low: float
    high: float
    missed: float

    @property
    def better(self) -> bool:
        """Whether the reranker is better beyond chance."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond chance."""
        return self.high < 0

    def __str__(self) -> str:
        return (
            f"NDCG@{CUTOFF} {self.recall_ndcg:.4f} recall order, {self.reranked_ndcg:.4f} reranked, difference "
            f"{self.mean:+.4f} ({self.low:+.4f} … {self.high:+.4f}); {self.missed:.1%} of the relevant were not among "
            "the candidates"
        )


def shortlist_ndcg(one: Shortlist, scores: NDArray[np.float32]) -> float:
    """NDCG@10 of a reordered shortlist (see `graded_ndcg`); what was missed counts as not found.

    Args:
        one: the shortlist.
        scores: what orders it, [K]; equal ones keep recall's order.
    """
    ranks = np.full(len(one.rows) + len(one.missed_rows), NOT_FOUND)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(one.rows) + 1)
    grades = torch.from_numpy(np.append(one.grades, one.missed_grades))
    return float(graded_ndcg(torch.from_numpy(ranks), torch.zeros(len(ranks), dtype=torch.int64), grades, 1, CUTOFF))


def readings(
    model: CrossEncoder, lists: Sequence[Shortlist | CandidateGroup], texts: Sequence[str]
) -> list[NDArray[np.float32]]:
    """What reading adds to the score of each candidate, [K] for each list: the score but for recall's part.

    Args:
        model: the reranker.
        lists: shortlists, or groups out of them.
        texts: text of every item, [N].
    """
    nothing = [np.zeros(len(one.rows), np.float32) for one in lists]
    return [
        model.score(one.context, [texts[row] for row in one.rows], zeros)
        for one, zeros in zip(lists, nothing, strict=True)
    ]


def ndcg_of(
    lists: Sequence[Shortlist], read: Sequence[NDArray[np.float32]], recall_weight: float
) -> NDArray[np.float64]:
    """NDCG@10 of each list in the reranker's order, [n].

    Args:
        lists: n shortlists.
        read: what reading adds, as `readings` says, times any strength.
        recall_weight: weight of recall's scores beside it.
    """
    return np.array(
        [shortlist_ndcg(one, part + recall_weight * one.scores) for one, part in zip(lists, read, strict=True)]
    )


def choose_strength(
    lists: Sequence[Shortlist], read: Sequence[NDArray[np.float32]], recall_weight: float, strengths: Sequence[float]
) -> float:
    """The factor of what reading adds that orders best; the smallest of equals.

    A transformer trained on few groups is too sure of itself; a factor below 1 leaves more to recall, 0 everything.

    Args:
        lists, read, recall_weight: as of `ndcg_of`; cases that were not learnt from.
        strengths: what is tried.
    """
    tried = sorted(strengths)
    means = [ndcg_of(lists, [strength * part for part in read], recall_weight).mean() for strength in tried]
    return tried[int(np.argmax(means))]


def compare_orders(
    lists: Sequence[Shortlist], reranked: NDArray[np.float64], samples: int, confidence: float, seed: int
) -> Comparison:
    """The reranker's figures beside those of the recall order.

    Args:
        lists: n shortlists the reranker did not learn from.
        reranked: NDCG@10 of each in its order, [n].
        samples, confidence, seed: of the bootstrap interval.
    """
    recalled = np.array([shortlist_ndcg(one, one.scores) for one in lists])
    difference = reranked - recalled
    low, high = bootstrap_intervals(difference[:, None], samples, confidence, seed)
    return Comparison(
        cases=len(lists),
        recall_ndcg=float(recalled.mean()),
        reranked_ndcg=float(reranked.mean()),
        mean=float(difference.mean()),
        low=float(low[0]),
        high=float(high[0]),
        missed=sum(one.missed for one in lists) / max(sum(one.relevant for one in lists), 1),
    )
