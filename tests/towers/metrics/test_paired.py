"""Paired comparison, and the search for what gains beyond its standard error."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from towers.metrics.bootstrap import Bootstrap
from towers.metrics.paired import PairedComparison, greedy_ascent

BOOTSTRAP = Bootstrap(200, 0.95, 0)


def test_a_constant_gain_is_better_beyond_chance_however_far_users_differ():
    before = np.random.default_rng(0).random(50)
    comparison = PairedComparison.of(before, before + 0.25, BOOTSTRAP)
    assert comparison.better and not comparison.worse
    assert comparison.mean == pytest.approx(0.25)
    assert comparison.low == pytest.approx(0.25)
    assert comparison.error == pytest.approx(0, abs=1e-12)
    assert comparison.exceeds(100)
    assert comparison.verdict == "better"


def test_a_gain_of_few_users_is_not_told_from_chance():
    before = np.zeros(10)
    after = np.array([1.0, -1.0] * 5)
    comparison = PairedComparison.of(before, after, BOOTSTRAP)
    assert (comparison.better, comparison.worse, comparison.exceeds(0)) == (False, False, False)
    assert "difference +0.0000" in comparison.describe("queries")
    assert comparison.describe("queries").endswith("on 10 queries")


Gains = dict[int, NDArray[np.float64]]


def climb(gains: Gains, certainty: float, steps: int = 10) -> list[int]:
    """States are sorted lists of numbers; each number in one adds its own gains to every user."""

    def figures(
        state: list[int], following: Sequence[list[int]]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        def total(numbers: list[int]) -> NDArray[np.float64]:
            return np.sum([np.zeros(4), *(gains[number] for number in numbers)], axis=0)

        return total(state), [total(each) for each in following]

    return greedy_ascent(
        [], lambda state: [sorted([*state, n]) for n in gains if n not in state], figures, certainty, steps
    )


def test_the_move_that_gains_most_is_made_until_none_is_sure():
    sure, small, unsure, worse = np.full(4, 0.5), np.full(4, 0.1), np.array([2.0, -1, 2, -1]), np.full(4, -0.1)
    gains = dict(enumerate((small, sure, unsure, worse)))
    assert climb(gains, certainty=2) == [0, 1], "unsure gains 0.5 on average, within its standard error"
    assert climb(gains, certainty=0) == [0, 1, 2]
    assert climb(gains, certainty=2, steps=1) == [1]
    assert climb({}, certainty=0) == []


def test_of_equal_gains_the_first_is_made():
    assert climb({3: np.ones(4), 1: np.ones(4)}, certainty=0, steps=1) == [3]
