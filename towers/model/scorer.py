"""A model, or a part of one, as a scorer of the whole catalogue."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.events.history import History, packs_of_like_length
from towers.model.one_vector import OneVectorModel
from towers.modules.multi_interest import score

TOKENS_AT_ONCE = 4096  # of histories encoded together

Encode = Callable[[Sequence[History], Sequence[str]], NDArray[np.float32]]
"""User vectors of B histories and B search texts."""


class VectorScorer:
    """Inner products of user vectors with item vectors.

    Args:
        name: the row's name in tables.
        encode: user vectors, [B, dim] or [B, interests, dim].
        items: item vectors, [N, dim].
        max_history: newest events that `encode` reads.
    """

    def __init__(
        self,
        name: str,
        encode: Encode,
        items: NDArray[np.float32],
        max_history: int,
    ) -> None:
        self.name = name
        self.encode = encode
        self.max_history = max_history
        self.items = torch.from_numpy(items)

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The best of a user's vectors with every item, [B, N]."""
        packs = packs_of_like_length(histories, self.max_history, TOKENS_AT_ONCE)
        packed = np.concatenate([self.encode([histories[i] for i in p], [queries[i] for i in p]) for p in packs])
        users = np.empty_like(packed)
        users[np.concatenate(packs)] = packed
        return score(torch.from_numpy(users), self.items)


def model_scorer(name: str, model: OneVectorModel, items: pd.DataFrame) -> VectorScorer:
    """A model as a scorer.

    Args:
        name: the row's name in tables.
        model: towers and blocks.
        items: the catalogue.
    """
    vectors = model.item_vectors(items)
    encoder = model.user_encoder(items, vectors)
    return VectorScorer(name, encoder.encode, vectors, encoder.max_history)


ONE_VECTOR = "one vector"


Recall = Callable[[Sequence[History], Sequence[str]], Tensor]
"""Scores of every item for B histories and queries, [B, N]."""
