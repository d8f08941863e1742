"""Where negatives come from: one small class per scheme, one config file each under conf/negatives.

A scheme draws candidates shared by all positives of a batch and says how often it expects each of them in the draw.
Only items that are somebody's positive are drawn: an item that is new since training must not be taught to be wrong.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from data_prep.errors import UsageError


@dataclass(frozen=True)
class Candidates:
    """Candidate items for a batch.

    Attributes:
        rows: catalogue rows, [C], repeats allowed.
        log_q: log of the expected count of each candidate in the draw, [C].
    """

    rows: Tensor
    log_q: Tensor


class Negatives(Protocol):
    """A way of drawing negatives."""

    def draw(self, positives: Tensor, target_counts: Tensor) -> Candidates:
        """Draw candidates.

        Args:
            positives: positive items of the batch, [P].
            target_counts: how often each item is a training target in one epoch, [N].
        """


class InBatch:
    """The other positives of the batch: free of cost, drawn as often as they are popular.

    Source: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.

    Args:
        correction: strength of the sampling correction; 1 is unbiased, 0 leaves popular items punished.
    """

    def __init__(self, correction: float) -> None:
        self.correction = correction

    def draw(self, positives: Tensor, target_counts: Tensor) -> Candidates:
        probability = target_counts[positives] / target_counts.sum()
        # A row's own positive is not among its negatives: P - 1 draws are left.
        expected = max(len(positives) - 1, 1) * probability.clamp(min=torch.finfo(torch.float32).tiny)
        return Candidates(positives, self.correction * expected.log())


class Uniform:
    """Items drawn uniformly from those that occur in training, with replacement, shared by the batch.

    Args:
        number: candidates drawn for each batch.
    """

    def __init__(self, number: int) -> None:
        if number < 1:
            raise UsageError(f"negatives.number must be at least 1, not {number}")
        self.number = number

    def draw(self, positives: Tensor, target_counts: Tensor) -> Candidates:
        trained = target_counts.nonzero().squeeze(1)
        rows = trained[torch.randint(len(trained), (self.number,), device=positives.device)]
        log_q = torch.tensor(self.number / len(trained), device=positives.device).log()
        return Candidates(rows, log_q.expand(self.number))


class Full:
    """Every item that occurs in training: the exact softmax, for catalogues up to some tens of thousands of items."""

    def draw(self, positives: Tensor, target_counts: Tensor) -> Candidates:
        rows = target_counts.nonzero().squeeze(1)
        return Candidates(rows, torch.zeros(len(rows), device=positives.device))
