"""A mix of baselines with fixed weights, as one baseline; L0 is one."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from torch import Tensor

from data_prep.config import require
from towers.baselines.baseline import Baseline
from towers.baselines.late_fusion import Mix
from towers.events.history import History
from towers.events.training_data import TrainingData

USERS_AT_ONCE = 256


class BaselineMix:
    """Baselines fitted to the same events and added up.

    Args:
        name: the row's name in tables.
        parts: the baselines.
        weights: one for each part, by the same names, in units of the part's score deviation.
        sample_users: training users over whom deviations are measured.
        seed: of that sample.
    """

    def __init__(
        self, name: str, parts: dict[str, Baseline], weights: dict[str, float], sample_users: int, seed: int
    ) -> None:
        require("sample_users", sample_users, 1)
        if set(parts) != set(weights):
            raise ValueError(f"weights are of {sorted(weights)}, parts are {sorted(parts)}: name the same in both")
        self.name, self.parts, self.weights = name, parts, weights
        self.sample_users, self.seed = sample_users, seed

    def fit(self, training: TrainingData) -> Self:
        """Fit the parts and measure their deviations.

        Raises:
            DoesNotApply: a part does not.
        """
        fitted = [(part.fit(training), float(self.weights[name])) for name, part in self.parts.items()]
        log = training.interactions
        users = np.flatnonzero(np.diff(log.offsets))
        if len(users) > self.sample_users:
            users = np.sort(np.random.default_rng(self.seed).choice(users, self.sample_users, replace=False))
        histories = [log.history(int(user)) for user in users]
        self.mix = Mix(self.name, fitted).calibrate(histories, [""] * len(histories), USERS_AT_ONCE)
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """The weighted sum, [B, N]."""
        return self.mix.score(histories, queries)
