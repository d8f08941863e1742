"""The item tower: whitened text plus an id embedding, one unit vector per item."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from towers.text_features import Whitening

NO_ID = -1


class ItemTower(nn.Module):
    """item = L2norm(linear(whitened text) + id embedding).

    In training the id embedding of an item is left out at random, so that an item without one (new since training) or
    a query, which never has one, still gets a sound vector from its text alone.

    Args:
        text_dim: length of a sentence vector.
        dim: length of an item vector.
        num_ids: items with an embedding of their own; 0 for a tower on text alone.
        id_dropout: share of items whose id embedding is left out in a training step.
        id_scale: standard deviation of a fresh id embedding's entries, times sqrt(dim).
    """

    def __init__(self, text_dim: int, dim: int, num_ids: int, id_dropout: float, id_scale: float) -> None:
        super().__init__()
        self.whitening = Whitening(text_dim)
        self.project = nn.Linear(text_dim, dim)
        self.ids = nn.Embedding(num_ids, dim) if num_ids else None
        self.id_dropout = id_dropout
        if self.ids is not None:
            nn.init.normal_(self.ids.weight, std=id_scale * dim**-0.5)

    def forward(self, text: Tensor, id_rows: Tensor) -> Tensor:
        """Item vectors of unit length.

        Args:
            text: whitened sentence vectors, [n, text_dim].
            id_rows: rows of the id embedding, [n]; NO_ID for text alone.
        """
        vectors = self.project(text)  # [n, dim]
        if self.ids is not None:
            known = id_rows != NO_ID
            if self.training and self.id_dropout > 0:
                known = known & (torch.rand(id_rows.shape, device=id_rows.device) >= self.id_dropout)
            vectors = vectors + self.ids(id_rows.clamp(min=0)) * known.unsqueeze(1)
        return functional.normalize(vectors, dim=1)
