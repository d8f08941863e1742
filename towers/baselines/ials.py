"""iALS: matrix factorisation for implicit feedback; users are folded in, so anybody with a history can be scored.

Source: Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, eqs. 4 and 5; fitted
by the package implicit.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData


class IALS:
    """Scores by the inner product of factors; confidence in an item had n times is 1 + alpha · n.

    Args:
        factors: length of the vectors.
        alpha: see above.
        regularization: L2 penalty.
        iterations: of alternating least squares.
        decay: n counts each event by its weight relative to the next newer one when a user is folded in; 1 is the
            paper's.
        seed: of the first factors.
    """

    name = "ials"

    def __init__(
        self, factors: int, alpha: float, regularization: float, iterations: int, decay: float, seed: int
    ) -> None:
        require("factors", factors, 1)
        require("regularization", regularization, 1e-9)
        require("decay", decay, 0, 1)
        self.factors, self.alpha, self.regularization = factors, alpha, regularization
        self.iterations, self.decay, self.seed = iterations, decay, seed

    def fit(self, training: TrainingData) -> Self:
        """Learn item factors.

        Raises:
            DoesNotApply: the package implicit is not there.
        """
        try:
            from implicit.cpu.als import AlternatingLeastSquares
        except ImportError as error:
            raise DoesNotApply(f"it needs the package implicit ({error}): pip install 'twotower[baselines]'") from None
        matrix = training.interactions.matrix()
        confidence = sp.csr_matrix((1 + self.alpha * matrix.data, matrix.indices, matrix.indptr), matrix.shape)
        model = AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=1.0,  # the matrix holds the whole confidence
            iterations=self.iterations,
            random_state=self.seed,
            num_threads=torch.get_num_threads(),
        )
        model.fit(confidence, show_progress=False)
        self.items = torch.from_numpy(np.asarray(model.item_factors))  # [N, f]
        self.gram = self.items.T @ self.items + self.regularization * torch.eye(self.items.shape[1])  # [f, f]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for an empty history."""
        return self.user_factors(histories) @ self.items.T

    def user_factors(self, histories: Sequence[History]) -> Tensor:
        """Factors that solve each user's normal equations given the items', [B, f]."""
        profiles = recency_profiles(histories, len(self.items), self.decay)
        profiles.sum_duplicates()
        users = torch.zeros(len(histories), self.items.shape[1])
        for user in range(len(histories)):
            part = slice(profiles.indptr[user], profiles.indptr[user + 1])
            had = self.items[torch.from_numpy(profiles.indices[part])]  # [n, f]
            extra = self.alpha * torch.from_numpy(profiles.data[part])  # [n]
            left = self.gram + had.T @ (extra[:, None] * had)
            users[user] = torch.linalg.solve(left, had.T @ (1 + extra))
        return users
