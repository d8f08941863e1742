"""Collapse of item vectors: two figures that show it before recall does."""

import torch
from torch import Tensor


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine of all pairs of different vectors, [N, d]: near 0 when they spread, 1 when all point one way."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    count = len(unit)
    if count < 2:
        return 0.0
    return float((unit.sum(dim=0).square().sum() - unit.square().sum()) / (count * (count - 1)))


def effective_rank(vectors: Tensor) -> float:
    """Number of directions that vectors [N, d] use: exp of the entropy of their singular values' shares, 1…d.

    Source: Roy & Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007.
    """
    values = torch.linalg.eigvalsh(vectors.double().T @ vectors.double()).clamp(min=0).sqrt()
    shares = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(torch.special.entr(shares).sum()))
