"""How often items are positives: known beforehand, or counted as they come by."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from data_prep.config import require
from data_prep.errors import UsageError

PRIME = 2**31 - 1
"""Of the hash functions; products of two numbers below it fit an int64."""


class Counts(nn.Module):
    """Shares of the positives. What is counted is kept in buffers, so that checkpoints hold it."""

    @abstractmethod
    def observe(self, rows: Tensor) -> None:
        """See the positives of a batch, [P]."""

    @abstractmethod
    def share(self, rows: Tensor) -> Tensor:
        """Probability that a positive is each of these items, [C] -> [C]; above 0 for what was ever observed."""


class ExactCounts(Counts):
    """Known from the log.

    Args:
        target_counts: how often each item is a target in an epoch, [N].
    """

    counts: Tensor

    def __init__(self, target_counts: Tensor) -> None:
        super().__init__()
        self.register_buffer("counts", target_counts, persistent=False)
        self.total = float(target_counts.sum())

    def observe(self, rows: Tensor) -> None:
        """Nothing is new."""

    def share(self, rows: Tensor) -> Tensor:
        """Its count over all."""
        return self.counts[rows] / self.total


class CountSketch(Counts):
    """A count-min sketch of the positives as they come, in memory that does not grow with the catalogue.

    An estimate is never too small: it is the least of `depth` cells, each shared with whatever hashes to it. With the
    conservative update a cell is raised only as far as an item's own estimate asks. Decay makes the counts follow a
    popularity that moves.

    Source: Cormode & Muthukrishnan, "An improved data stream summary: the count-min sketch", 2005; conservative
    update: Estan & Varghese, "New directions in traffic measurement and accounting", SIGCOMM 2002.

    Args:
        width: cells in a row; the expected excess of an estimate is below e / width of the total.
        depth: rows of cells, each with a hash function of its own.
        decay: factor of the counts after each batch; 1 forgets nothing.
        target_counts: unused: counts are not known beforehand.
    """

    cells: Tensor
    total: Tensor
    factors: Tensor

    def __init__(self, width: int, depth: int, decay: float, target_counts: Tensor | None = None) -> None:
        super().__init__()
        require("negatives.counts.width", width, 1)
        require("negatives.counts.depth", depth, 1)
        if not 0 < decay <= 1:
            raise UsageError(f"negatives.counts.decay must lie above 0 and be at most 1, not {decay}")
        self.width = width
        self.decay = decay
        self.register_buffer("cells", torch.zeros(depth, width))
        self.register_buffer("total", torch.zeros(()))
        hashes = torch.randint(1, PRIME, (2, depth, 1), generator=torch.Generator().manual_seed(0))
        self.register_buffer("factors", hashes, persistent=False)

    def observe(self, rows: Tensor) -> None:
        """Count a batch."""
        items, number = rows.unique(return_counts=True)
        self.cells *= self.decay
        self.total.mul_(self.decay).add_(len(rows))
        raised = self.count(items) + number  # [U]
        self.cells.scatter_reduce_(1, self._cells_of(items), raised.expand(len(self.cells), -1), "amax")

    def count(self, rows: Tensor) -> Tensor:
        """Estimated count of each item, [C] -> [C]."""
        least: Tensor = self.cells.gather(1, self._cells_of(rows)).amin(dim=0)
        return least

    def share(self, rows: Tensor) -> Tensor:
        """Its estimated count over all."""
        return self.count(rows) / self.total.clamp(min=1)

    def _cells_of(self, rows: Tensor) -> Tensor:
        """Cell of each item in each row of cells, [C] -> [depth, C]."""
        factor, shift = self.factors
        columns: Tensor = (rows % PRIME * factor + shift) % PRIME % self.width
        return columns
