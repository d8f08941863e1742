"""The worked examples of the metrics' docstrings come out as they are written."""

import doctest

import torch

from towers.metrics import ranking_metrics


def test_the_worked_examples_of_the_metrics_come_out():
    outcome = doctest.testmod(ranking_metrics, extraglobs={"torch": torch})
    assert outcome.attempted > 0
    assert outcome.failed == 0
