"""Constraints on an answer, and the results of the pipeline: rows of the bundle with their scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index import Filter
from retrieval_server.pipeline.diversify import DiversityOutcome
from retrieval_server.pipeline.recall import Ranking
from towers.diversity import Diversity

LOWEST_SCORE = float(np.finfo(np.float32).min)
"""Score of what was not scored: below every real one, and still a number in JSON."""


@dataclass(frozen=True)
class Constraints:
    """Items that may come back from the catalogue, and how many.

    Attributes:
        k: how many items at most.
        include_seen: whether items of the history may be among them even if the bundle keeps them out.
        exclude_ids: items that may not.
        filter: conditions on the items, None for none.
        diversity: how items unlike each other are chosen, None for the best ones.
        pool: how many items they are chosen from, where that is more than k.
    """

    k: int
    include_seen: bool = False
    exclude_ids: Sequence[str] = ()
    filter: Filter | None = None
    diversity: Diversity | None = None
    pool: int = 0


@dataclass(frozen=True)
class RecallResult:
    """Recalled items in the order to show them.

    Attributes:
        rows: rows of the items [n].
        scores: of each, by which they are ordered [n], descending.
        diversified: how they were chosen among what was recalled; None for the best ones.
        recalled: the ranking they were chosen from.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    diversified: DiversityOutcome | None
    recalled: Ranking


@dataclass(frozen=True)
class RerankResult:
    """Candidates in the order to show them.

    Attributes:
        item_ids: every distinct candidate [n], the unknown ones last.
        scores: of each, by which they are ordered [n], descending; `LOWEST_SCORE` for one that was not scored.
        titles: titles [n], "" for an unknown candidate.
        unknown: the candidates that the bundle does not have, in the request's order.
        reranked: how many the cross-encoder scored, the first ones.
    """

    item_ids: Sequence[str]
    scores: Sequence[float]
    titles: Sequence[str]
    unknown: Sequence[str]
    reranked: int


@dataclass(frozen=True)
class RecommendResult:
    """Recalled items in the order of the second stage.

    Attributes:
        rows: rows of the items [n].
        scores: of each, by which they are ordered [n], descending; `LOWEST_SCORE` for one that was not scored.
        recall_scores: recall's score of each [n].
        reranked: how many the cross-encoder scored, the first ones.
        diversified: how they were chosen among what was recalled; None for the best ones.
        ranked: whether a ranker gave the scores.
        recalled: the ranking they were chosen from.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    recall_scores: NDArray[np.float32]
    reranked: int
    diversified: DiversityOutcome | None
    ranked: bool
    recalled: Ranking
