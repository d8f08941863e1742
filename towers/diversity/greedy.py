"""Greedy choice of a list: one item after the other, by its relevance and by its novelty beside those before it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LEAST_VOLUME = 1e-9
"""Squared distance, of at most 1, from what is spanned already; below it an item counts as adding nothing."""


class Novelty(Protocol):
    """Worth of items beside those taken so far.

    Attributes:
        values: of each item of the pool, [n]; 0 for all while none is taken, and the less the worse.
    """

    values: NDArray[np.float64]

    def take(self, item: int) -> None:
        """Take an item, and lower the values of those like it."""


class MarginalRelevance:
    """An item is as new as it is unlike those taken on average: minus the mean cosine.

    Maximal marginal relevance (Carbonell & Goldstein, "The use of MMR, diversity-based reranking for reordering
    documents and producing summaries", SIGIR 1998) with the mean in the place of the largest cosine. The mean is what
    the distance within a list is made of, so for the same relevance more of that is had (docs/diversity.md); but one
    near-duplicate in a list weighs little. Relative: max-sum diversification (Gollapudi & Sharma, "An axiomatic
    approach for result diversification", WWW 2009).

    Args:
        directions: unit vectors of the pool, [n, d]; zeros are like nothing.
    """

    def __init__(self, directions: NDArray[np.float32]) -> None:
        self._directions = directions
        self._sum = np.zeros(len(directions))  # of the cosines with those taken, [n]
        self._taken = 0
        self.values = np.zeros(len(directions))

    def take(self, item: int) -> None:
        """Take an item: O(n d)."""
        self._sum += self._directions @ self._directions[item]
        self._taken += 1
        self.values = -self._sum / self._taken


class DeterminantalPointProcess:
    """An item adds the logarithm of the volume that the list gains by it: greedy MAP of a DPP.

    The kernel of two items is (1 + cosine) / 2. Each value is kept up to date by one more column of the kernel's
    Cholesky factor, so k items of n cost O(k² n).

    Source: Chen, Zhang & Zhou, "Fast greedy MAP inference for determinantal point process to improve recommendation
    diversity", NeurIPS 2018, algorithm 1. There a list ends where nothing adds volume; here items that add none follow.

    Args:
        directions: unit vectors of the pool, [n, d]; zeros are like nothing.
    """

    def __init__(self, directions: NDArray[np.float32]) -> None:
        self._directions = directions
        self._factor = np.empty((0, len(directions)))  # [taken, n], the Cholesky factor by columns
        self._squares = np.ones(len(directions))  # [n], the square of each item's next diagonal entry
        self.values = np.zeros(len(directions))

    def take(self, item: int) -> None:
        """Take an item: O(n (d + taken)). One that adds no volume leaves the others what they were."""
        if self._squares[item] <= LEAST_VOLUME:
            return
        kernel = (1 + (self._directions @ self._directions[item]).astype(np.float64)) / 2  # [n]
        kernel[item] = 1.0
        rest = kernel - self._factor[:, item] @ self._factor  # [n]
        column = rest / np.sqrt(self._squares[item])
        self._factor = np.vstack([self._factor, column])
        self._squares = self._squares - column**2
        self.values = np.log(np.maximum(self._squares, LEAST_VOLUME))


def greedy(
    relevance: NDArray[np.float64], novelty: Novelty, strength: float, k: int, tiers: "Tiers"
) -> NDArray[np.int64]:
    """The next item is the one of most (1 - strength) * relevance + strength * novelty; of equal ones the first.

    Args:
        relevance: of each item, [n].
        novelty: of the same items, none of them taken.
        strength: 0 for relevance alone to 1 for novelty alone.
        k: how many items are taken, at most n.
        tiers: which items have to wait for others.

    Returns:
        Positions of the items in the order taken, [k].
    """
    order = np.empty(k, np.int64)
    for position in range(k):
        worth = (1 - strength) * relevance + strength * novelty.values  # [n]
        item = int(np.where(tiers.next_ones(), worth, -np.inf).argmax())
        order[position] = item
        novelty.take(item)
        tiers.take(item)
    return order


class Tiers:
    """Which items may be taken next: none while there is one of a lower tier.

    Args:
        tiers: of each item, [n]; 0 comes first.
        groups: a number for each item's group, [n]; -1 for none.
        quota: items that a group may have before the rest of it waits behind other groups'; 0 for any number.
    """

    OVER_QUOTA = 1
    """Tier of an item of tier 0 whose group has had its share."""

    def __init__(self, tiers: NDArray[np.int64], groups: NDArray[np.int64], quota: int) -> None:
        self._tiers = tiers.copy()
        self._groups = groups
        self._quota = quota
        self._left = np.ones(len(tiers), np.bool_)
        self._taken: dict[int, int] = {}
        self.over_quota = 0

    def next_ones(self) -> NDArray[np.bool_]:
        """Of which items the next one is to be, [n]."""
        ones: NDArray[np.bool_] = self._left & (self._tiers == self._tiers[self._left].min())
        return ones

    def take(self, item: int) -> None:
        """Take an item."""
        self._left[item] = False
        group = int(self._groups[item])
        if group < 0 or not self._quota:
            return
        count = self._taken[group] = self._taken.get(group, 0) + 1
        self.over_quota += count > self._quota
        if count == self._quota:
            mates = self._groups == group
            self._tiers[mates] = np.maximum(self._tiers[mates], self.OVER_QUOTA)
