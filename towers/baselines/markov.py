"""Markov chains: what came next, one, two, … steps after an item."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from data_prep.config import require
from towers.baselines.recency import basket_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData


class Markov:
    """Scores an item by how often it followed the newest items of the history.

    Steps are baskets: events of one instant have no order and take one step together; without times every event is a
    step. Source: Rendle et al., "Factorizing personalized Markov chains", WWW 2010, without the factorisation.

    Args:
        step_weights: weight of a transition over 1, 2, … steps, in counting and in scoring.
        normalize: exponent of an item's number of events that its row is divided by: 1 gives probabilities, 0 counts.
    """

    name = "markov"

    def __init__(self, step_weights: list[float], normalize: float) -> None:
        require("step_weights", len(step_weights), 1)
        self.step_weights, self.normalize = step_weights, normalize

    def fit(self, training: TrainingData) -> Self:
        """Count transitions."""
        log = training.interactions
        starts, basket = np.unique(log.baskets, return_inverse=True)
        owner = log.users[starts]
        ones = np.ones(len(log.rows), np.float32)
        content = sp.csr_array((ones, (basket, log.rows)), shape=(len(starts), log.num_items))  # [baskets, N]
        total = sp.csr_array((log.num_items, log.num_items), dtype=np.float32)
        for step, weight in enumerate(self.step_weights, start=1):
            first = np.flatnonzero(owner[:-step] == owner[step:])
            total = total + weight * (content[first].T @ content[first + step])
        counts = np.maximum(log.counts(), 1).astype(np.float32)
        self.transitions = sp.csr_array(sp.diags_array(counts**-self.normalize) @ total)  # [N, N]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]; zero for what never followed."""
        profiles = basket_profiles(histories, self.transitions.shape[0], self.step_weights)
        return torch.from_numpy((profiles @ self.transitions).toarray())
