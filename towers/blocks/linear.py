"""Factors of the linear item-item model, which reads a whole history, not its end."""

import numpy as np
import pandas as pd
from sklearn.utils.extmath import randomized_svd

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.ease import linear_weights
from towers.blocks.block import HistoryWeights
from towers.blocks.factors import FittedFactors
from towers.events.training_data import TrainingData

PASSES = 4  # power iterations: the leading directions then agree with the exact ones to several digits


class LinearFactors:
    """The linear item-item model, factored; see `linear_weights`.

    Where people have long histories their overall taste says more than what they did last, and a few dozen directions
    hold all of it: on a year of groceries rank 32 ranks as well as the whole matrix.

    Args:
        rank: dimensions.
        decay, max_history: see `HistoryWeights`.
        regularization: L2 penalty, in events.
        most_items: the most frequent items that take part, others have a zero: memory is 12 bytes · most_items².
        seed: of the factorisation.
    """

    name = "linear"

    def __init__(
        self, rank: int, decay: float, max_history: int, regularization: float, most_items: int, seed: int
    ) -> None:
        require("blocks.linear.rank", rank, 1)
        require("blocks.linear.regularization", regularization, 1e-6)
        require("blocks.linear.most_items", most_items, 1)
        self.rank = rank
        self.reading = HistoryWeights(decay, max_history)
        self.regularization = regularization
        self.most_items = most_items
        self.seed = seed

    def fit(self, training: TrainingData) -> FittedFactors:
        """Solve and factor.

        Raises:
            DoesNotApply: there are no events.
        """
        if not len(training.interactions.rows):
            raise DoesNotApply("there are no events, so no histories to fit")
        matrix = training.interactions.matrix()
        matrix.data[:] = 1
        events = training.interactions.counts()
        kept = np.sort(np.argsort(-events, kind="stable")[: min(self.most_items, np.count_nonzero(events))])
        weights = linear_weights(matrix[:, kept], self.regularization)
        left, spectrum, right = randomized_svd(
            weights, min(self.rank, len(kept)), n_iter=PASSES, random_state=self.seed
        )
        root = np.sqrt(spectrum)
        item_ids = pd.Index(training.items[Columns.ITEM_ID])[kept]
        source, target = (left * root).astype(np.float32), (right.T * root).astype(np.float32)
        return FittedFactors(self.name, self.reading, item_ids, source, target)
