"""Paired comparison: whether one order is better than another on the same users, each paired with themselves.

Some users are easy and some hard for both orders. The interval of the differences leaves that out, and so tells apart
what the intervals of two means cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from towers.metrics.bootstrap import Bootstrap

State = TypeVar("State")


@dataclass(frozen=True)
class PairedComparison:
    """How far NDCG@10 after a change lies above that before it.

    Attributes:
        cases: number of users, or queries.
        before, after: mean NDCG@10 of the two orders.
        mean, low, high: of the difference, case by case, with its bootstrap interval.
        error: the mean's standard error.
    """

    cases: int
    before: float
    after: float
    mean: float
    low: float
    high: float
    error: float

    @classmethod
    def of(cls, before: NDArray[np.float64], after: NDArray[np.float64], bootstrap: Bootstrap) -> "PairedComparison":
        """Comparison of the NDCG of n cases, [n] each."""
        difference = after - before
        low, high = bootstrap.intervals(difference[:, np.newaxis])
        means = float(before.mean()), float(after.mean()), float(difference.mean())
        return cls(len(before), *means, float(low[0]), float(high[0]), float(difference.std() / len(before) ** 0.5))

    @property
    def better(self) -> bool:
        """Whether the change is better beyond chance."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond chance."""
        return self.high < 0

    @property
    def verdict(self) -> str:
        """Better, worse, or neither beyond chance."""
        return "better" if self.better else "worse" if self.worse else "no different beyond chance"

    def exceeds(self, certainty: float) -> bool:
        """Whether the mean difference exceeds so many standard errors."""
        return self.mean > certainty * self.error

    def describe(self, cases: str = "users") -> str:
        """The figures in words, for these cases."""
        return (
            f"NDCG@10 {self.after:.4f} beside {self.before:.4f}, difference {self.mean:+.4f} "
            f"({self.low:+.4f} … {self.high:+.4f}) on {self.cases:,} {cases}"
        )


def greedy_ascent(
    start: State,
    moves: Callable[[State], Sequence[State]],
    figures: Callable[[State, Sequence[State]], tuple[NDArray[np.float64], Sequence[NDArray[np.float64]]]],
    certainty: float,
    steps: int,
) -> State:
    """The state that is reached by always making the move that gains most, while one gains beyond its standard error.

    A move that chance favours costs quality elsewhere, hence the certainty. Of moves that gain the same the first is
    made.

    Args:
        start: the first state.
        moves: the states that a state may be followed by.
        figures: of a state [U], and of each of n that may follow it, n of [U], on the same U users.
        certainty: standard errors that the mean gain, users paired with themselves, must exceed.
        steps: moves made, at most.
    """
    state = start
    for _ in range(steps):
        following = moves(state)
        if not following:
            break
        before, after = figures(state, following)
        gains = [each - before for each in after]
        means = np.array(
            [gain.mean() if gain.mean() > certainty * gain.std() / len(gain) ** 0.5 else -np.inf for gain in gains]
        )
        if not np.isfinite(means).any():
            break
        state = following[int(np.argmax(means))]
    return state
