"""Diversity of an answer: a request's setting made complete, and the choice among what was recalled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.api.budget import AnswerStage, Budget, DegradedReason
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.retrieval.v1.retrieval_pb2 import Diversity as DiversityMessage
from towers.diversity import Diversity, DiversityConfig, Pool, diversify


@dataclass(frozen=True)
class DiversityOutcome:
    """How an answer was made diverse.

    Attributes:
        setting: the whole setting.
        pool: how many items were chosen from.
        over_quota: items of the answer that are more than their category's quota, for want of others.
        duplicates: items of the pool that are the same as better ones.
    """

    setting: Diversity
    pool: int
    over_quota: int
    duplicates: int


@dataclass(frozen=True)
class ScoredRows:
    """A pool of items in the order of their scores.

    Attributes:
        rows: rows of the items [n], the best first.
        scores: of each [n], descending.
        scored: how many of them have a score that compares with the others', the first ones.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    scored: int


@dataclass(frozen=True)
class PoolChoice:
    """The part of a pool that is answered.

    Attributes:
        positions: of the items in the pool [n], ascending.
        diversified: how they were chosen; None for the first ones.
    """

    positions: NDArray[np.int64]
    diversified: DiversityOutcome | None


def diversity_of(message: DiversityMessage, defaults: DiversityConfig, bundle: ServedBundle) -> Diversity:
    """A request's checked diversity with the defaults for what it leaves out.

    Raises:
        InvalidRequest: it asks for a quota of categories, and the items have none.
    """
    if message.max_per_category and bundle.categories is None:
        cure = "prepare the data with it, or leave the field out"
        raise InvalidRequest([Violation("diversity.max_per_category", f"the items have no column category; {cure}")])
    method = message.method or defaults.method
    quota = message.max_per_category if message.HasField("max_per_category") else defaults.max_per_category
    collapse = message.collapse_duplicates if message.HasField("collapse_duplicates") else defaults.collapse_duplicates
    strength = message.strength if message.HasField("strength") else defaults.strength[method]
    return Diversity(method, strength, quota, collapse, defaults.duplicate_cosine)


def choose(bundle: ServedBundle, pool: ScoredRows, k: int, setting: Diversity | None, budget: Budget) -> PoolChoice:
    """The k items of a pool to answer with.

    Args:
        bundle: where the items are from.
        pool: what to choose from.
        k: how many items at most.
        setting: what makes the answer diverse; None takes the first k.
        budget: the request's means; with no time left the first k are taken, and it notes so.
    """
    if setting is not None and budget.remaining() <= 0:
        budget.degraded[AnswerStage.DIVERSIFY] = DegradedReason.BUDGET
        setting = None
    rows = pool.rows
    if setting is None:
        return PoolChoice(np.arange(min(k, len(rows))), None)
    with budget.stage(AnswerStage.DIVERSIFY):
        titles: list[str] = bundle.titles[rows].tolist()
        candidates = Pool(pool.scores, bundle.vectors[rows], _categories(bundle, rows), titles, pool.scored)
        chosen = diversify(candidates, k, setting)
    return PoolChoice(chosen.places, DiversityOutcome(setting, len(rows), chosen.over_quota, chosen.duplicates))


def _categories(bundle: ServedBundle, rows: NDArray[np.int64]) -> list[str]:
    if bundle.categories is None:
        return [""] * len(rows)
    return [name or "" for name in bundle.categories[rows]]
