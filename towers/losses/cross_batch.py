"""Cross-batch negatives: positives of the batches before, with their vectors as they were."""

from collections import deque

import torch
from torch import Tensor

from data_prep.config import require
from towers.losses.source import Encoded, NegativeSource, Setting


class CrossBatch(NegativeSource):
    """A memory of the last batches' positives: many candidates for no more encoding, a little out of date.

    The memory is emptied at the start of each epoch and is in no checkpoint: a resumed run, which starts at an epoch's
    beginning, then trains as an uninterrupted one, at the price of `batches` batches with fewer candidates. As it is
    empty then, it cannot be the only scheme.

    Source: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020.

    Args:
        batches: batches remembered.
    """

    alone = False

    def __init__(self, batches: int) -> None:
        require("negatives.sources.cross_batch.batches", batches, 1)
        self.memory: deque[Encoded] = deque(maxlen=batches)

    def start_epoch(self) -> None:
        """Empty the memory."""
        self.memory.clear()

    def offer(self, positives: Encoded, sampled: Encoded) -> Encoded:
        """The remembered positives; nothing of the batch at hand."""
        if not self.memory:
            return Encoded(positives.rows[:0], positives.vectors[:0].detach())
        rows = torch.cat([part.rows for part in self.memory])
        return Encoded(rows, torch.cat([part.vectors for part in self.memory]))

    def expected(self, rows: Tensor, positives: int, setting: Setting) -> Tensor:
        """As many draws by popularity as there are memories."""
        return sum(len(part.rows) for part in self.memory) * setting.counts.share(rows)

    def after(self, positives: Encoded) -> None:
        """Remember the batch."""
        self.memory.append(Encoded(positives.rows, positives.vectors.detach()))
