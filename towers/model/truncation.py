"""Shorter vectors out of long ones: a model trained for it can be indexed at any of its dimensions."""

import torch
from torch import Tensor


def truncate(vectors: Tensor, dim: int, prior: bool) -> Tensor:
    """Leading coordinates of item or user vectors, stretched to the length that the whole had.

    So cosines stay cosines, and a user's strength stays what it was. The prior, the last coordinate, is kept.
    Source: Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.

    Args:
        vectors: [..., D].
        dim: length of the result, the prior included.
        prior: whether the last coordinate is the prior (of items) or the 1 that meets it (of users).

    Returns:
        [..., dim].
    """
    if dim >= vectors.shape[-1]:
        return vectors
    end = vectors.shape[-1] - int(prior)
    whole = vectors[..., :end]
    kept = whole[..., : dim - int(prior)]
    length = kept.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    short: Tensor = kept * (whole.norm(dim=-1, keepdim=True) / length)
    if not prior:
        return short
    return torch.cat([short, vectors[..., end:]], dim=-1)
