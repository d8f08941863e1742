"""Intervals of means."""

import math

import numpy as np
import pytest

from towers.metrics.bootstrap import Bootstrap, Estimate


def test_an_interval_is_as_wide_as_the_standard_error_says():
    values = np.random.default_rng(0).normal(2, 1, size=(400, 1))
    low, high = Bootstrap(2000, 0.95, seed=1).intervals(values)
    error = values.std() / math.sqrt(400)
    assert low[0] == pytest.approx(values.mean() - 1.96 * error, abs=0.02)
    assert high[0] == pytest.approx(values.mean() + 1.96 * error, abs=0.02)


def test_estimates_go_by_the_names_of_their_columns():
    values = np.array([[1.0, 0.0], [1.0, 2.0]])
    estimates = Bootstrap(50, 0.95, seed=0).estimates(values, ["constant", "varying"])
    assert estimates["constant"] == Estimate(1, 1, 1)
    assert (estimates["varying"].mean, estimates["varying"].low, estimates["varying"].high) == (1, 0, 2)


def test_a_difference_is_marked_where_its_interval_excludes_zero():
    assert Estimate(0.25, 0.125, 0.375).as_difference == "+0.2500 ±0.1250*"
    assert Estimate(0.25, -0.125, 0.625).as_difference == "+0.2500 ±0.3750 "
    assert str(Estimate(0.25, 0.125, 0.375)) == "0.2500 ±0.1250"
