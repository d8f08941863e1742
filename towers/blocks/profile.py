"""The user's side of a block: a weighted sum over the history, and the query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.grown_table import GrownTable
from towers.baselines.recency import recency_weights
from towers.blocks.block import HistoryWeights
from towers.blocks.text import unit_text
from towers.events.history import History
from towers.text.whitening import Whitening


@dataclass(frozen=True)
class BlockProfile:
    """Turns histories and queries into a block's user vectors.

    A block that cannot read queries is zero for a request with one: its weight was chosen on requests without, and
    would drown the query, which the towers have read with the history.

    Attributes:
        table: vector that each item of the history adds, [N, d].
        of_items: whether the table is a slice of the item vectors (memory-mapped, when serving) or one of its own.
        reading: how histories are read.
        start: first value of every user vector, [d].
        whitening: of queries' sentence vectors; None where queries cannot be read.
        scale: of query vectors; table and start have it already.
    """

    table: NDArray[np.float32] | GrownTable[np.float32]
    of_items: bool
    reading: HistoryWeights
    start: NDArray[np.float32]
    whitening: Whitening | None
    scale: float

    def encode(
        self, histories: Sequence[History], sentences: Sequence[NDArray[np.float32] | None]
    ) -> NDArray[np.float32]:
        """User vectors, [B, d].

        Args:
            histories: B histories whose rows point into the table.
            sentences: B raw sentence vectors [text_dim] of queries, None for none; a query counts as the newest event.
        """
        vectors = np.tile(self.start, (len(histories), 1))  # [B, d]
        for user, (history, sentence) in enumerate(zip(histories, sentences, strict=True)):
            if sentence is not None and self.whitening is None:
                vectors[user] = 0
                continue
            newest = history.last(self.reading.max_history)
            weights = recency_weights(newest, self.reading.decay)  # [≤ L]
            vectors[user] += weights @ self.table[newest.rows[len(newest.rows) - len(weights) :]]
            if self.whitening is not None and sentence is not None:
                query = self.scale * unit_text(self.whitening, sentence[np.newaxis])[0]
                vectors[user] = self.reading.decay * vectors[user] + query
        return vectors
