"""Items drawn evenly from all that occur in training."""

import torch
from torch import Tensor

from data_prep.config import require
from towers.losses.source import NegativeSource, Setting


class Uniform(NegativeSource):
    """Items drawn uniformly from those that occur in training, with replacement, shared by the batch.

    Args:
        number: candidates drawn for each batch.
    """

    def __init__(self, number: int) -> None:
        require("negatives.sources.uniform.number", number, 1)
        self.number = number

    def sample(self, setting: Setting) -> Tensor:
        """Rows at random, [number]."""
        trained = setting.trained
        place = torch.randint(len(trained), (self.number,), generator=setting.generator)
        return trained[place.to(trained.device)]

    def expected(self, rows: Tensor, positives: int, setting: Setting) -> Tensor:
        """The same of every item."""
        return torch.full((len(rows),), self.number / len(setting.trained), device=rows.device)
