"""Co-occurrence factors: which item leads to which, in a few hundred dimensions."""

import pandas as pd

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.directional_cooccurrence import directional_cooccurrence, factors
from towers.blocks.block import HistoryWeights
from towers.blocks.factors import FittedFactors
from towers.events.training_data import TrainingData


class CooccurrenceFactors:
    """The directional co-occurrence matrix, factored: what an item leads to, and what leads to it.

    Args:
        rank: dimensions; at most one less than there are items.
        decay, max_history: see `HistoryWeights`.
        max_gap, gap_exponent, backward, source_exponent, target_exponent: see `directional_cooccurrence`.
        seed: of the factorisation.
    """

    name = "cooccurrence"

    def __init__(
        self,
        rank: int,
        decay: float,
        max_history: int,
        max_gap: int,
        gap_exponent: float,
        backward: float,
        source_exponent: float,
        target_exponent: float,
        seed: int,
    ) -> None:
        require("blocks.cooccurrence.rank", rank, 1)
        self.rank = rank
        self.reading = HistoryWeights(decay, max_history)
        self.counting = {
            "max_gap": max_gap,
            "gap_exponent": gap_exponent,
            "backward": backward,
            "source_exponent": source_exponent,
            "target_exponent": target_exponent,
        }
        self.seed = seed

    def fit(self, training: TrainingData) -> FittedFactors:
        """Count pairs and factor them.

        Raises:
            DoesNotApply: there are no events.
        """
        if not len(training.interactions.rows):
            raise DoesNotApply("there are no events, so no pairs to count")
        matrix = directional_cooccurrence(training.interactions, **self.counting)  # type: ignore[arg-type]
        known = training.interactions.counts() > 0
        source, target = factors(matrix, self.rank, self.seed)
        item_ids = pd.Index(training.items[Columns.ITEM_ID])[known]
        return FittedFactors(self.name, self.reading, item_ids, source[known], target[known])
