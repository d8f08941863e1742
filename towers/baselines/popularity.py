"""Popularity: the same ranking for everyone."""

from collections.abc import Sequence

from torch import Tensor

from towers.history import History


class Popularity:
    """Scores an item by its number of training events.

    Args:
        counts: training events of each item, [N].
    """

    name = "popularity"

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts.float()

    def score(self, histories: Sequence[History]) -> Tensor:
        """The counts, once for each history: [B, N]."""
        return self.counts.repeat(len(histories), 1)
