"""Every item that occurs in training."""

import torch
from torch import Tensor

from towers.losses.source import NegativeSource, Setting


class Full(NegativeSource):
    """Every item that occurs in training: the exact softmax, for catalogues up to some tens of thousands of items."""

    complete = True

    def sample(self, setting: Setting) -> Tensor:
        """All of them, once."""
        return setting.trained

    def expected(self, rows: Tensor, positives: int, setting: Setting) -> Tensor:
        """One of each."""
        return torch.ones(len(rows), device=rows.device)
