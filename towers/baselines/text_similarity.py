"""Text similarity: items whose whitened text is near that of the newest items of the history."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from towers.baselines.profile import recency_profiles
from towers.history import History
from towers.text_features import Whitening


class TextSimilarity:
    """Scores an item by the cosine of its text with the history's.

    Args:
        vectors: sentence vectors of the items, [N, text_dim].
        decay: weight of each event relative to the next newer one.
    """

    name = "text similarity"

    def __init__(self, vectors: NDArray[np.float32], decay: float) -> None:
        self.decay = decay
        whitening = Whitening(vectors.shape[1]).fit(vectors)
        self.vectors = functional.normalize(whitening(torch.from_numpy(vectors)), dim=1)  # [N, text_dim]

    def score(self, histories: Sequence[History]) -> Tensor:
        """Sum of cosines, the newest event weighing most: [B, N]."""
        profiles = recency_profiles(histories, len(self.vectors), self.decay)
        users = torch.from_numpy(profiles @ self.vectors.numpy())
        return users @ self.vectors.T
