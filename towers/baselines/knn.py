"""Nearest neighbours: items liked by the same people (ItemKNN), people who liked the same items (UserKNN).

Source: Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; Resnick et al.,
"GroupLens", CSCW 1994. Here the newest events of a history may weigh most.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.recency import recency_profiles, sets
from towers.baselines.similarity import Sets, Similarity, nearest
from towers.events.history import History
from towers.events.training_data import TrainingData


class ItemKNN:
    """Scores an item by its similarity to the items of the history.

    Where repeats count an item is its own nearest neighbour, at similarity 1.

    Args:
        similarity: of two items, by the sets of their users.
        neighbours: most similar items kept for each item.
        shrinkage: similarities seen n times count n / (n + shrinkage).
        decay: weight of each event relative to the next newer one.
    """

    def __init__(self, similarity: Similarity, neighbours: int, shrinkage: float, decay: float) -> None:
        require("neighbours", neighbours, 1)
        require("shrinkage", shrinkage, 0)
        require("decay", decay, 0, 1)
        self.name = f"item-knn, {similarity.name}"
        self.similarity, self.neighbours, self.shrinkage, self.decay = similarity, neighbours, shrinkage, decay

    def fit(self, training: TrainingData) -> Self:
        """Find every item's neighbours."""
        users = _binary(training).T.tocsr()  # [N, U]
        near = nearest(users, Sets.of(users), self.similarity, self.shrinkage, self.neighbours, themselves=False)
        if not training.exclude_seen:
            near = sp.csr_array(near + sp.eye_array(near.shape[0], dtype=np.float32))
        self.table = near  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for items that share no user with the history."""
        profiles = recency_profiles(histories, self.table.shape[0], self.decay)
        return torch.from_numpy((profiles @ self.table).toarray())


class UserKNN:
    """Scores an item by the people with similar histories who had it, each counting by their similarity.

    A training user who is scored is the first of their own neighbours, which adds only items they have had.

    Args:
        similarity: of two people, by the sets of their items.
        neighbours: most similar training users that count.
        shrinkage: similarities seen n times count n / (n + shrinkage).
    """

    def __init__(self, similarity: Similarity, neighbours: int, shrinkage: float) -> None:
        require("neighbours", neighbours, 1)
        require("shrinkage", shrinkage, 0)
        self.name = f"user-knn, {similarity.name}"
        self.similarity, self.neighbours, self.shrinkage = similarity, neighbours, shrinkage

    def fit(self, training: TrainingData) -> Self:
        """Keep everybody's items."""
        self.items = _binary(training)  # [U, N]
        self.people = Sets.of(self.items)
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for items that no neighbour had."""
        near = nearest(
            sets(histories, self.items.shape[1]),
            self.people,
            self.similarity,
            self.shrinkage,
            self.neighbours,
            themselves=True,
        )
        return torch.from_numpy((near @ self.items).toarray())


def _binary(training: TrainingData) -> sp.csr_array:
    """Which user had which item at all, [U, N] of ones."""
    matrix = training.interactions.matrix()
    matrix.data[:] = 1
    return matrix
