"""The other positives of the batch."""

from torch import Tensor

from towers.losses.source import Encoded, NegativeSource, Setting


class InBatch(NegativeSource):
    """The other positives of the batch: free of cost, offered as often as they are popular.

    A row's own positive is not among its negatives, so P - 1 draws are left, each with the item's share of all targets.
    That is exact on average over the batches of an epoch. Given the batch it is not quite: windows of like length are
    packed together, so a batch of short histories holds what short histories buy; an item stands in a history rarely
    twice; and where a log records queries, events with a query are targets twice.

    Source: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019.
    """

    def offer(self, positives: Encoded, sampled: Encoded) -> Encoded:
        """The batch's positives."""
        return positives

    def expected(self, rows: Tensor, positives: int, setting: Setting) -> Tensor:
        """P - 1 draws by popularity."""
        return max(positives - 1, 1) * setting.counts.share(rows)
