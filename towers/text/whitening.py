"""Whitening: centring sentence vectors and evening out the variances of their directions."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_prep.config import require


class Whitening(nn.Module):
    """Centre and whiten: x -> (x - mean) W, the kept directions alike in variance, the one of most variance last.

    A direction of variance v is divided by v^(strength / 2), and all by one number, so that the variances have mean 1.
    At strength 1 all of them are 1: the more items share a trait, the less it says. Whoever looks for like items gains
    by that; a search text, which is often no more than such a trait, is better served by half of it (docs/search.md).

    Args:
        dim: length of a vector, before and after.
        strength: 0 leaves the variances as they are, 1 evens them out.

    Raises:
        UsageError: the strength is not between 0 and 1.
    """

    # Directions with less than this share of the largest variance are noise or absent (fewer items than dimensions);
    # blowing them up to unit variance would drown an unseen query, so they are dropped.
    RELATIVE_FLOOR = 1e-5

    mean: Tensor
    transform: Tensor

    def __init__(self, dim: int, strength: float = 1.0) -> None:
        super().__init__()
        require("whitening", strength, 0, 1)
        self.strength = strength
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("transform", torch.eye(dim))

    def fit(self, vectors: NDArray[np.float32]) -> Self:
        """Learn mean and transform from `vectors` [n, dim]; fewer than two vectors leave the identity."""
        if len(vectors) < 2:
            return self
        x = vectors.astype(np.float64)
        mean = x.mean(axis=0)
        values, directions = np.linalg.eigh(np.cov(x - mean, rowvar=False))
        kept = values > self.RELATIVE_FLOOR * values.max()
        if kept.any():
            scale = np.zeros(len(values))
            scale[kept] = values[kept] ** (-self.strength / 2)
            scale /= np.sqrt(np.mean(scale[kept] ** 2 * values[kept]))
            self.mean.copy_(torch.from_numpy(mean))
            self.transform.copy_(torch.from_numpy(directions * scale))
        return self

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) @ self.transform  # [n, dim]


def text_directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors of texts, whitened by themselves: raw sentence vectors [N, dim] -> [N, dim]."""
    whitening = Whitening(vectors.shape[1]).fit(vectors)
    directions: NDArray[np.float32] = functional.normalize(whitening(torch.from_numpy(vectors)), dim=1).numpy()
    return directions
