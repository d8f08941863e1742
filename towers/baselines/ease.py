"""EASE: the linear item-item model in closed form: which items, had together, make another likely.

Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData


class Ease:
    """Scores by the item weights that best rebuild every user's set without using an item for itself.

    Args:
        regularization: L2 penalty, in squared co-occurrences.
        decay: weight of each event relative to the next newer one; 1 is the paper's.
        max_items: largest catalogue that is inverted: memory is 12 bytes · N², time grows with N³.
    """

    name = "ease"

    def __init__(self, regularization: float, decay: float, max_items: int) -> None:
        require("regularization", regularization, 1e-6)
        require("decay", decay, 0, 1)
        self.regularization, self.decay, self.max_items = regularization, decay, max_items

    def fit(self, training: TrainingData) -> Self:
        """Invert the regularised item-item matrix.

        Raises:
            DoesNotApply: the catalogue is larger than `max_items`.
        """
        n = training.interactions.num_items
        if n > self.max_items:
            raise DoesNotApply(
                f"{n:,} items are more than max_items {self.max_items:,}; "
                f"raise max_items if {12 * n * n / 1e9:.0f} GB of memory are free"
            )
        matrix = training.interactions.matrix()
        matrix.data[:] = 1
        self.table = linear_weights(matrix, self.regularization)  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]."""
        profiles = recency_profiles(histories, len(self.table), self.decay)
        return torch.from_numpy(profiles @ self.table)


def linear_weights(matrix: sp.csr_array, regularization: float) -> NDArray[np.float32]:
    """Weights B of ridge regression from everybody's items to themselves, no item speaking for itself.

    With G = X^T X + regularization · I and P its inverse, B_ij = -P_ij / P_jj off the diagonal.

    Args:
        matrix: X, which user had which item at all, [U, N] of ones; memory is 12 bytes · N², time grows with N³.
        regularization: L2 penalty, in events.

    Returns:
        [N, N]; the scores of a user with items x are x @ B.
    """
    gram = torch.from_numpy((matrix.T @ matrix).toarray())  # [N, N]
    gram.diagonal().add_(regularization)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))  # [N, N]
    weights = inverse.div_(-inverse.diagonal())
    weights.fill_diagonal_(0)
    # The inverse is stored by columns; products with sparse rows would copy the whole of it each time.
    return np.ascontiguousarray(weights.numpy())
