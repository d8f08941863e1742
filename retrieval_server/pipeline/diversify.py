"""Diversity of answers: what a request wants of it, checked and made complete, and the choice among what was found."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval_server.api.budget import Budget, Reason, Stage
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import Limits
from retrieval_server.retrieval.v1.retrieval_pb2 import Diversified as Answered
from retrieval_server.retrieval.v1.retrieval_pb2 import Diversity as Message
from retrieval_server.retrieval.v1.retrieval_pb2 import RecallRequest, RecommendRequest
from towers.diversity import METHODS, Diversity, DiversityConfig, Pool, diversify


@dataclass(frozen=True)
class Diversified:
    """How an answer was made diverse.

    Attributes:
        how: the whole setting.
        pool: how many items were chosen from.
        over_quota: items of the answer that are more than their category's quota, for want of others.
        duplicates: items of the pool that are the same as better ones.
    """

    how: Diversity
    pool: int
    over_quota: int
    duplicates: int

    def message(self) -> Answered:
        """The same, as answers have it."""
        return Answered(
            method=self.how.method,
            strength=self.how.strength,
            max_per_category=self.how.max_per_category,
            collapse_duplicates=self.how.collapse_duplicates,
            pool=self.pool,
            over_quota=self.over_quota,
            duplicates=self.duplicates,
        )


@dataclass(frozen=True)
class Cut:
    """What of a pool is answered.

    Attributes:
        places: of the items in the pool [n], ascending.
        diversified: how they were chosen; None for the first ones.
    """

    places: NDArray[np.int64]
    diversified: Diversified | None


def check_diversity(request: RecallRequest | RecommendRequest, limits: Limits) -> Iterator[Violation]:
    """What is wrong with the wish for diversity, whatever the bundle."""
    wish = request.diversity
    if wish.method and wish.method not in METHODS:
        yield Violation(
            "diversity.method", f"is {wish.method[:40]!r}; send one of {', '.join(METHODS)}, or leave it out"
        )
    if not 0 <= wish.strength <= 1:  # so put that NaN is outside
        yield Violation("diversity.strength", f"is {wish.strength:g}; send 0 to 1, or leave it out")
    if wish.max_per_category < 0:
        yield Violation(
            "diversity.max_per_category", f"is {wish.max_per_category}; send 1 or more, or 0 for any number"
        )
    if request.HasField("diversity") and request.k > limits.candidates:
        yield Violation("k", f"is {request.k}; ask for 1 to {limits.candidates} (limits.candidates) with diversity")


def diversity_of(wish: Message, defaults: DiversityConfig, bundle: ServedBundle) -> Diversity:
    """A checked wish with what it leaves out.

    Raises:
        InvalidRequest: it wants a quota of categories, and the items have none.
    """
    if wish.max_per_category and bundle.categories is None:
        cure = "prepare the data with it, or leave the field out"
        raise InvalidRequest([Violation("diversity.max_per_category", f"the items have no column category; {cure}")])
    method = wish.method or defaults.method
    quota = wish.max_per_category if wish.HasField("max_per_category") else defaults.max_per_category
    collapse = wish.collapse_duplicates if wish.HasField("collapse_duplicates") else defaults.collapse_duplicates
    strength = wish.strength if wish.HasField("strength") else defaults.strength[method]
    return Diversity(method, strength, quota, collapse, defaults.duplicate_cosine)


def choose(
    bundle: ServedBundle,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    scored: int,
    k: int,
    how: Diversity | None,
    budget: Budget,
) -> Cut:
    """The k items of a pool to answer with.

    Args:
        bundle: where the items are from.
        rows: rows of the pool's items [n], the best first.
        scores: of each [n], descending.
        scored: how many of them have a score that compares with the others', the first ones.
        k: how many items at most.
        how: what makes the answer diverse; None takes the first k.
        budget: the request's means; with no time left the first k are taken, and it learns so.
    """
    if how is not None and budget.remaining() <= 0:
        budget.degraded[Stage.DIVERSIFY] = Reason.BUDGET
        how = None
    if how is None:
        return Cut(np.arange(min(k, len(rows))), None)
    with budget.stage(Stage.DIVERSIFY):
        pool = Pool(scores, bundle.vectors[rows], _categories(bundle, rows), bundle.titles[rows].tolist(), scored)
        chosen = diversify(pool, k, how)
    return Cut(chosen.places, Diversified(how, len(rows), chosen.over_quota, chosen.duplicates))


def _categories(bundle: ServedBundle, rows: NDArray[np.int64]) -> list[str]:
    if bundle.categories is None:
        return [""] * len(rows)
    return [name or "" for name in bundle.categories[rows]]
