"""A scheme of shared negatives: its interface, and the training as it knows it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from towers.losses.counts import Counts


@dataclass(frozen=True)
class Encoded:
    """Items and their vectors.

    Attributes:
        rows: catalogue rows, [n], repeats allowed.
        vectors: [n, dim].
    """

    rows: Tensor
    vectors: Tensor


@dataclass(frozen=True)
class Setting:
    """The training that schemes serve, as they know it.

    Attributes:
        trained: rows that occur in training, [T].
        counts: how often items are positives.
        generator: random numbers, the same in all processes; on the CPU.
    """

    trained: Tensor
    counts: Counts
    generator: torch.Generator


class NegativeSource:
    """A scheme. The answers of this class are those of a scheme that offers nothing.

    Attributes:
        alone: whether it makes a training by itself.
        complete: whether it offers the whole catalogue, so that others add nothing.
    """

    alone = True
    complete = False

    def start_epoch(self) -> None:
        """Forget what was kept: an epoch begins as after resuming, so that both train the same."""

    def sample(self, setting: Setting) -> Tensor:
        """Rows that are to be encoded with this batch, [n]."""
        return setting.trained[:0]

    def offer(self, positives: Encoded, sampled: Encoded) -> Encoded:
        """Candidates.

        Args:
            positives: those of the batch, of all processes, [P].
            sampled: the rows of `sample`, encoded, [n].
        """
        return sampled

    def expected(self, rows: Tensor, positives: int, setting: Setting) -> Tensor:
        """How many copies of each of any rows a batch of P positives is expected to be offered, [C] -> [C]."""
        return torch.zeros(len(rows), device=rows.device)

    def after(self, positives: Encoded) -> None:
        """Learn from a batch whose candidates have been offered; vectors carry no gradient."""
