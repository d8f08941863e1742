"""ItemKNN: items bought by the same people, cosine of their user sets.

Source: Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; here the newest
events of a history weigh most.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from towers.baselines.profile import recency_profiles
from towers.history import History

ROWS_AT_ONCE = 1024  # rows of the item-item matrix held before it is pruned to the neighbours


class ItemKNN:
    """Scores an item by its cosine with the items of the history.

    Args:
        interactions: [U, N] sparse, positive where a user had an item in training.
        neighbours: most similar items kept for each item.
        decay: weight of each event relative to the next newer one.
        include_self: an item is its own nearest neighbour, which recommends it again; for shops where people rebuy.
    """

    name = "item-knn"

    def __init__(self, interactions: sp.csr_array, neighbours: int, decay: float, include_self: bool) -> None:
        self.decay = decay
        self.similarity = _cosine_neighbours(interactions, neighbours)
        if include_self:
            self.similarity = sp.csr_array(self.similarity + sp.eye_array(self.similarity.shape[0], dtype=np.float32))

    def score(self, histories: Sequence[History]) -> Tensor:
        """[B, N]; zero for items that share no user with the history."""
        profiles = recency_profiles(histories, self.similarity.shape[0], self.decay)
        return torch.from_numpy((profiles @ self.similarity).toarray())


def _cosine_neighbours(interactions: sp.csr_array, neighbours: int) -> sp.csr_array:
    """Item-item cosine without the diagonal, the `neighbours` largest of each row: [N, N]."""
    binary = sp.csc_array(interactions > 0, dtype=np.float32)
    norms = np.sqrt(np.asarray(binary.sum(axis=0))).ravel()
    unit = sp.csc_array(binary @ sp.diags_array(1 / np.maximum(norms, 1)))
    transposed = sp.csr_array(unit.T)
    parts = []
    for start in range(0, transposed.shape[0], ROWS_AT_ONCE):
        block = (transposed[start : start + ROWS_AT_ONCE] @ unit).toarray()  # [rows, N]
        block[np.arange(len(block)), start + np.arange(len(block))] = 0
        if neighbours < block.shape[1]:
            least = -np.partition(-block, neighbours - 1, axis=1)[:, neighbours - 1 : neighbours]
            block[block < least] = 0
        parts.append(sp.csr_array(block))
    return sp.csr_array(sp.vstack(parts))
