"""The softmax temperature: learnt, within bounds it can come back from."""

import math

import torch
from torch import Tensor, nn

from data_prep.errors import UsageError


class BoundedTemperature(nn.Module):
    """T = least * (most / least) ^ sigmoid(x), x learnt.

    A clamp would do the same inside the bounds, but has no gradient beyond them: a temperature that once left could
    not come back.

    Args:
        start: where learning starts, strictly between the bounds.
        least, most: the bounds, above 0.

    Raises:
        UsageError: the three are not in that order.
    """

    def __init__(self, start: float, least: float, most: float) -> None:
        super().__init__()
        if not 0 < least < start < most:
            raise UsageError(
                "loss: 0 < min_temperature < temperature < max_temperature must hold, "
                f"not 0 < {least:g} < {start:g} < {most:g}"
            )
        self.least = least
        self.range = math.log(most / least)
        place = math.log(start / least) / self.range
        self.place = nn.Parameter(torch.tensor(math.log(place / (1 - place))))

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        temperature: Tensor = self.least * torch.exp(self.range * self.place.sigmoid())
        return temperature
