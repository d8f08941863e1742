"""Text similarity: items whose whitened text is near that of the newest items of the history."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from towers.baselines.training_data import TrainingData
from towers.fitting import require
from towers.history import History
from towers.recency import recency_profiles
from towers.text_features import Whitening


class TextSimilarity:
    """Scores an item by the cosine of its text with the history's.

    Args:
        decay: weight of each event relative to the next newer one.
    """

    name = "text similarity"

    def __init__(self, decay: float) -> None:
        require("decay", decay, 0, 1)
        self.decay = decay

    def fit(self, training: TrainingData) -> Self:
        """Whiten the texts' vectors."""
        raw = training.vectors
        whitening = Whitening(raw.shape[1]).fit(raw)
        self.vectors = functional.normalize(whitening(torch.from_numpy(raw)), dim=1)  # [N, text_dim]
        return self

    def score(self, histories: Sequence[History]) -> Tensor:
        """Sum of cosines, the newest event weighing most: [B, N]."""
        profiles = recency_profiles(histories, len(self.vectors), self.decay)
        users = torch.from_numpy(profiles @ self.vectors.numpy())
        return users @ self.vectors.T
