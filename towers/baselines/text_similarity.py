"""Text similarity: items whose whitened text is near the query, and the newest items of the history."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data_prep.config import require
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData
from towers.text.whitening import Whitening


class TextSimilarity:
    """Scores an item by the cosine of its text with the history's.

    Args:
        decay: weight of each event relative to the next newer one.
        whitening: its strength (see `Whitening`).
    """

    def __init__(self, decay: float, whitening: float = 1.0) -> None:
        require("decay", decay, 0, 1)
        require("whitening", whitening, 0, 1)
        self.decay, self.strength = decay, whitening
        self.name = "text similarity" if whitening == 1 else f"text similarity, whitened {whitening:g}"

    def fit(self, training: TrainingData) -> Self:
        """Whiten the texts' vectors."""
        raw = training.vectors
        self.encode = training.encode
        self.whitening = Whitening(raw.shape[1], self.strength).fit(raw)
        self.vectors = self._unit(raw)  # [N, text_dim]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Sum of cosines, the newest event weighing most, a query being the newest: [B, N]."""
        profiles = recency_profiles(histories, len(self.vectors), self.decay)
        users = torch.from_numpy(profiles @ self.vectors.numpy())  # [B, text_dim]
        searching = [i for i, query in enumerate(queries) if query]
        if searching:
            users[searching] = self.decay * users[searching] + self._unit(self.encode([queries[i] for i in searching]))
        return users @ self.vectors.T

    def _unit(self, sentences: NDArray[np.float32]) -> Tensor:
        """Whitened sentence vectors of length 1, [n, text_dim]."""
        return functional.normalize(self.whitening(torch.from_numpy(sentences)), dim=1)
