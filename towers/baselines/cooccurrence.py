"""Directional co-occurrence: which item follows which, how soon and how often; as a scorer, and its factors.

Untrained, it is the strongest single signal on short shopping histories (docs/models.md), and its factors fit into the
same inner product as the towers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import svds
from torch import Tensor

from data_prep.config import require
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.interactions import Interactions
from towers.events.training_data import TrainingData

PAIRS_AT_ONCE = 1 << 22  # weighted pairs held before they are added up: about 100 MB
DENSE_ITEMS = 512  # catalogues up to this size are factored densely: exact at any rank, and quick


@dataclass(frozen=True)
class PairWeights:
    """Weight of a pair of events in the co-occurrence of its items.

    Attributes:
        max_gap: pairs further apart are left out, events; bounds the work to E · max_gap.
        gap_exponent: how fast a pair's weight falls with its distance.
        backward: weight of the way back relative to the way forth.
        source_exponent, target_exponent: how far popularity is divided out.
    """

    max_gap: int
    gap_exponent: float
    backward: float
    source_exponent: float
    target_exponent: float

    def __post_init__(self) -> None:
        require("max_gap", self.max_gap, 1)


class Cooccurrence:
    """Scores an item by how strongly the items of the history lead to it.

    Args:
        pairs: how pairs of events are weighed.
        decay: weight of each event relative to the next newer one.
    """

    name = "co-occurrence"

    def __init__(self, pairs: PairWeights, decay: float) -> None:
        require("decay", decay, 0, 1)
        self.pairs, self.decay = pairs, decay

    def fit(self, training: TrainingData) -> Self:
        """Count pairs."""
        self.table = directional_cooccurrence(training.interactions, self.pairs)  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for items that never met the history's."""
        profiles = recency_profiles(histories, self.table.shape[0], self.decay)
        return torch.from_numpy((profiles @ self.table).toarray())


def directional_cooccurrence(interactions: Interactions, pairs: PairWeights) -> sp.csr_array:
    """How strongly each item leads to each other one.

    Every pair of a user's events, a before b at distance `gap`, adds gap^-gap_exponent to (a, b) and `backward` times
    that to (b, a). Each sum is then divided by c_a^source_exponent · c_b^target_exponent, c being an item's events.

    Events of one instant have no order, so their places in the log must not matter: all stand at the middle of their
    basket, from which distances to other baskets are measured; within a basket of s events the distance is (s + 1) / 3,
    the mean of all its pairs, and both directions get the mean of the two weights. Baskets of one make both rules the
    plain ones.

    Args:
        interactions: the events.
        pairs: how pairs are weighed.

    Returns:
        [N, N], rows lead to columns.
    """
    n = interactions.num_items
    shape, total = (n, n), sp.csr_array((n, n), dtype=np.float32)
    waiting: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for source, target, gap, tied in _pairs(interactions, pairs.max_gap):
        near = gap**-pairs.gap_exponent
        forth = near * np.where(tied, (1 + pairs.backward) / 2, 1)
        back = near * np.where(tied, (1 + pairs.backward) / 2, pairs.backward)
        waiting += [(source, target, forth.astype(np.float32)), (target, source, back.astype(np.float32))]
        if sum(len(part[0]) for part in waiting) >= PAIRS_AT_ONCE:
            total, waiting = total + _sum(waiting, shape), []
    if waiting:
        total = total + _sum(waiting, shape)
    counts = np.maximum(interactions.counts(), 1).astype(np.float64)
    left, right = sp.diags_array(counts**-pairs.source_exponent), sp.diags_array(counts**-pairs.target_exponent)
    return sp.csr_array(left @ total @ right, dtype=np.float32)


def _pairs(
    interactions: Interactions, max_gap: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Pairs of events `step` places apart, step by step: items of the earlier and the later, distance, one basket?"""
    rows, users, baskets = interactions.rows, interactions.users, interactions.baskets
    size = np.bincount(baskets, minlength=len(rows))[baskets]
    middle = baskets + (size - 1) / 2  # [E]
    for step in range(1, len(rows)):
        chunk = max(PAIRS_AT_ONCE // 4, 1)
        any_near = False
        for start in range(0, len(rows) - step, chunk):
            a = np.arange(start, min(start + chunk, len(rows) - step))
            a = a[users[a] == users[a + step]]
            tied = baskets[a] == baskets[a + step]
            gap = np.where(tied, (size[a] + 1) / 3, middle[a + step] - middle[a])
            near = gap <= max_gap
            if near.any():
                any_near = True
                yield rows[a[near]], rows[a[near] + step], gap[near], tied[near]
        if not any_near:  # distances grow with the step, so no wider one finds any
            return


def _sum(
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]], shape: tuple[int, int]
) -> sp.csr_array:
    source, target, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return sp.csr_array((weight, (source, target)), shape=shape)


def factors(matrix: sp.csr_array, rank: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Truncated singular value decomposition, the spectrum's square root on both sides.

    Args:
        matrix: [N, N].
        rank: directions kept; at most N - 1 are.
        seed: of the start vector; the same seed gives the same factors.

    Returns:
        source [N, r] and target [N, r]; source @ target.T is the best approximation of rank r, strongest direction
        first.
    """
    n = matrix.shape[0]
    rank = min(rank, n - 1)
    if n <= DENSE_ITEMS:
        left, spectrum, right = np.linalg.svd(matrix.toarray().astype(np.float64))
    elif matrix.nnz == 0:  # nothing to iterate on
        left, spectrum, right = np.zeros((n, rank)), np.zeros(rank), np.zeros((rank, n))
    else:
        start = np.random.default_rng(seed).normal(size=n)
        left, spectrum, right = svds(matrix.astype(np.float64), k=rank, v0=start)
        left, spectrum, right = left[:, ::-1], spectrum[::-1], right[::-1]
    root = np.sqrt(spectrum[:rank])
    return (left[:, :rank] * root).astype(np.float32), (right[:rank].T * root).astype(np.float32)
