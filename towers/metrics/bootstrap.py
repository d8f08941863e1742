"""Means with bootstrap intervals; all intervals of this package are made here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: over users, or queries.
        low, high: bounds of the interval.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """Whether it differs from 0 beyond chance."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:.4f} ±{self.half_width:.4f}"

    @property
    def as_difference(self) -> str:
        """The same with its sign, and * where the interval excludes zero."""
        return f"{self.mean:+.4f} ±{self.half_width:.4f}{'*' if self.excludes_zero else ' '}"


@dataclass(frozen=True)
class Bootstrap:
    """Settings of percentile bootstrap intervals (Efron & Tibshirani, 1993), which resample users.

    Attributes:
        samples: bootstrap samples.
        confidence: e.g. .95.
        seed: of the resampling.
    """

    samples: int
    confidence: float
    seed: int

    def intervals(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bounds of the column means of [U, M], a row a user and a column a metric; [M] each."""
        rng = np.random.default_rng(self.seed)
        n = len(values)
        means = np.empty((self.samples, values.shape[1]))
        for i in range(self.samples):
            weights = np.bincount(rng.integers(0, n, n), minlength=n)
            means[i] = weights @ values / n
        tail = (1 - self.confidence) / 2
        return np.quantile(means, tail, axis=0), np.quantile(means, 1 - tail, axis=0)

    def estimates(self, values: NDArray[np.float64], names: Sequence[str]) -> dict[str, Estimate]:
        """Means of the columns of [U, M] with their intervals, by name."""
        low, high = self.intervals(values)
        return {
            name: Estimate(float(mean), float(lower), float(upper))
            for name, mean, lower, upper in zip(names, values.mean(axis=0), low, high, strict=True)
        }
