"""Diverse lists: k items of a pool that are good and not all alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UsageError
from towers.diversity.duplicates import duplicates
from towers.diversity.greedy import (
    DeterminantalPointProcess,
    MarginalRelevance,
    Novelty,
    Tiers,
    greedy,
)

METHODS: dict[str, Callable[[NDArray[np.float32]], Novelty]] = {
    "mmr": MarginalRelevance,
    "dpp": DeterminantalPointProcess,
}
"""Measures of novelty, by the names they have in requests and configuration."""

POOL = 3
"""Items that are chosen from, at least, for each item of a list."""

DUPLICATE = 2
"""Tier of an item that is the same as a better one: behind those over their category's quota."""

UNSCORED = 3
"""Tier of an item without a meaningful score."""


@dataclass
class DiversityConfig:
    """Defaults of requests for diversity, conf/diversity.

    Attributes:
        method: one of `METHODS`.
        strength: of each method.
        max_per_category, collapse_duplicates, duplicate_cosine: see `Diversity`.
    """

    method: str
    strength: dict[str, float]
    max_per_category: int
    collapse_duplicates: bool
    duplicate_cosine: float

    def __post_init__(self) -> None:
        names = ", ".join(METHODS)
        if self.method not in METHODS:
            raise UsageError(f"diversity.method={self.method}: must be one of {names}")
        if set(self.strength) != set(METHODS):
            raise UsageError(f"diversity.strength={self.strength}: must have a number for each of {names}")
        between = {f"strength.{name}": value for name, value in self.strength.items()}
        for key, value in {**between, "duplicate_cosine": self.duplicate_cosine}.items():
            if not 0 <= value <= 1:
                raise UsageError(f"diversity.{key}={value}: must be 0 to 1")
        if self.max_per_category < 0:
            raise UsageError(f"diversity.max_per_category={self.max_per_category}: must be at least 0")

    def standard(self) -> "Diversity":
        """How a list is made diverse by default."""
        quota, collapse = self.max_per_category, self.collapse_duplicates
        return Diversity(self.method, self.strength[self.method], quota, collapse, self.duplicate_cosine)


@dataclass(frozen=True)
class Diversity:
    """How a list is made diverse.

    Attributes:
        method: one of `METHODS`.
        strength: weight of novelty against relevance: 0 for relevance alone to 1 for novelty alone.
        max_per_category: items of one category; more come only where the pool has no others. 0 for any number.
        collapse_duplicates: whether an item that is the same as a better one waits until there are no others.
        duplicate_cosine: above it two items' vectors count as the same.
    """

    method: str
    strength: float
    max_per_category: int
    collapse_duplicates: bool
    duplicate_cosine: float


@dataclass(frozen=True)
class Pool:
    """Items that a list is chosen from, the best first.

    Attributes:
        scores: of each item, [n], descending.
        vectors: of the same items, [n, d]; their angles are how alike they are.
        categories: of the same items, [n]; "" for one without.
        titles: of the same items, [n].
        scored: how many of them have a meaningful score, the first ones; the others follow those.
    """

    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]
    categories: Sequence[str]
    titles: Sequence[str]
    scored: int


@dataclass(frozen=True)
class DiverseList:
    """Items chosen for a list.

    Attributes:
        places: positions of the chosen items in the pool, [k], ascending: so they are shown in the pool's order.
        over_quota: how many of them are of a category that has its share without them.
        duplicates: how many items of the pool were found to be the same as better ones.
    """

    places: NDArray[np.int64]
    over_quota: int
    duplicates: int


def diversify(pool: Pool, k: int, how: Diversity) -> DiverseList:
    """Choose k items, or all where the pool has no more, and leave them in the pool's order.

    What makes a list diverse is which items are in it. Their order stays that of the scores: the best one first costs
    the list none of its diversity.

    Scores are standardised over the pool, so that a strength means the same whatever model they are of.

    Args:
        pool: `POOL` * k items or more, or there is little to choose.
        k: how many items.
        how: method and strength.
    """
    count = len(pool.scores)
    directions = unit(pool.vectors)
    same = np.zeros(count, np.bool_)
    if how.collapse_duplicates:
        same = duplicates(directions, pool.titles, how.duplicate_cosine)
    tiers = np.where(same, DUPLICATE, 0)
    tiers[pool.scored :] = UNSCORED
    waiting = Tiers(tiers, _groups(pool.categories), how.max_per_category)
    relevance = standardised(pool.scores, pool.scored)
    order = greedy(relevance, METHODS[how.method](directions), how.strength, min(k, count), waiting)
    return DiverseList(np.sort(order), waiting.over_quota, int(same.sum()))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [n, d] at length 1; zeros stay zeros."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # [n]
    directions: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, np.newaxis]
    return directions


def standardised(scores: NDArray[np.float32], scored: int) -> NDArray[np.float64]:
    """Scores [n] less the mean and over the deviation of the first `scored`; the others fall step by step."""
    first = scores[:scored].astype(np.float64)
    spread = first.std() if scored else 0.0
    standard = (first - first.mean()) / spread if spread > 0 else np.zeros(scored)
    lowest = standard[-1] if scored else 0.0
    return np.concatenate([standard, lowest - np.arange(1, len(scores) - scored + 1)])


def _groups(categories: Sequence[str]) -> NDArray[np.int64]:
    """A number for each item's category, [n]; -1 for one without."""
    names, groups = np.unique(np.asarray(categories, dtype=object).astype(str), return_inverse=True)
    return np.where(names[groups] == "", -1, groups).astype(np.int64)
