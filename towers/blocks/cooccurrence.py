"""Co-occurrence factors: which item leads to which, in a few hundred dimensions."""

import pandas as pd

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.cooccurrence import PairWeights, directional_cooccurrence, factors
from towers.blocks.block import HistoryWeights
from towers.blocks.factors import FittedFactors
from towers.events.training_data import TrainingData


class CooccurrenceFactors:
    """The directional co-occurrence matrix, factored.

    Args:
        rank: dimensions; at most one less than there are items.
        decay, max_history: see `HistoryWeights`.
        pairs: how pairs of events are weighed.
        seed: of the factorisation.
    """

    name = "cooccurrence"

    def __init__(self, rank: int, decay: float, max_history: int, pairs: PairWeights, seed: int) -> None:
        require("blocks.cooccurrence.rank", rank, 1)
        self.rank = rank
        self.reading = HistoryWeights(decay, max_history)
        self.pairs = pairs
        self.seed = seed

    def fit(self, training: TrainingData) -> FittedFactors:
        """Count pairs and factor them.

        Raises:
            DoesNotApply: there are no events.
        """
        if not len(training.interactions.rows):
            raise DoesNotApply("there are no events, so no pairs to count")
        matrix = directional_cooccurrence(training.interactions, self.pairs)
        known = training.interactions.counts() > 0
        source, target = factors(matrix, self.rank, self.seed)
        item_ids = pd.Index(training.items[Columns.ITEM_ID])[known]
        return FittedFactors(self.name, self.reading, item_ids, source[known], target[known])
