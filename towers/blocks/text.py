"""Whitened text: items whose words are near those of the history, and of the query."""

from collections.abc import Mapping
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data_prep.config import require
from towers.blocks.block import HistoryWeights
from towers.events.training_data import TrainingData
from towers.text.whitening import Whitening


class WhitenedText:
    """Centred, whitened sentence vectors of unit length, which an item has from its first day.

    Args:
        decay, max_history: see `HistoryWeights`; a query counts as the newest event of all.
        whitening: its strength (see `Whitening`).

    Raises:
        UsageError: the strength is not between 0 and 1.
    """

    name = "text"

    def __init__(self, decay: float, max_history: int, whitening: float = 1.0) -> None:
        require("whitening", whitening, 0, 1)
        self.reading = HistoryWeights(decay, max_history)
        self.whitening = whitening

    def fit(self, training: TrainingData) -> "FittedText":
        """Learn the whitening from the items' texts."""
        vectors = training.vectors
        return FittedText(self.reading, Whitening(vectors.shape[1], self.whitening).fit(vectors))


class FittedText:
    """A fitted whitening, as a block.

    Args:
        reading: how it reads a history.
        whitening: of sentence vectors.
    """

    name = WhitenedText.name
    item_ids: None = None

    def __init__(self, reading: HistoryWeights, whitening: Whitening) -> None:
        self.reading = reading
        self.whitening = whitening

    @property
    def dim(self) -> int:
        return len(self.whitening.mean)

    @property
    def start(self) -> NDArray[np.float32]:
        return np.zeros(self.dim, np.float32)

    def item_vectors(self, items: pd.DataFrame, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit text vectors, [N, text_dim]."""
        return unit_text(self.whitening, sentences)

    def history_vectors(self, items: pd.DataFrame) -> None:
        """The item vectors serve the history too."""
        return None

    def state(self) -> Mapping[str, Tensor]:
        return dict(self.whitening.state_dict())

    @classmethod
    def restore(
        cls, name: str, reading: HistoryWeights, item_ids: pd.Index | None, state: Mapping[str, Tensor]
    ) -> Self:
        whitening = Whitening(len(state["mean"]))
        whitening.load_state_dict(dict(state))
        return cls(reading, whitening)


def unit_text(whitening: Whitening, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whitened sentence vectors of unit length, [n, text_dim]."""
    vectors: NDArray[np.float32] = functional.normalize(whitening(torch.from_numpy(sentences)), dim=1).numpy()
    return vectors
