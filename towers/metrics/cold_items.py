"""Cold items: items without training events, and how well they are found all the same."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome, metric_names
from towers.metrics.ranking_metrics import bootstrap_intervals


def cold_cases(cases: Cases, counts: NDArray[np.int64]) -> Cases:
    """The cases with a relevant item that has no training event, and only those items of them.

    Args:
        cases: all of them.
        counts: training events of each item, [N].
    """
    users, rows = cases.truth_pairs(np.arange(len(cases)))
    cold = counts[rows] == 0
    sizes = np.bincount(users[cold], minlength=len(cases))  # [U]
    kept = np.flatnonzero(sizes)
    truth = np.split(rows[cold], np.cumsum(sizes[kept])[:-1]) if len(kept) else []
    return replace(cases[kept], truth=truth)


def summarize_cold(outcome: Outcome, cases: Cases, samples: int, confidence: float, seed: int) -> dict[str, Any]:
    """Recall of the cold items, the whole catalogue being ranked: name -> {mean, low, high}.

    Args:
        outcome: of a scorer.
        cases: on `cold_cases`.
        samples, confidence, seed: of the bootstrap intervals.
    """
    low, high = bootstrap_intervals(outcome.metrics, samples, confidence, seed)
    figures = zip(metric_names(cases.cutoffs), outcome.metrics.mean(axis=0), low, high, strict=True)
    return {
        name: {"mean": float(mean), "low": float(a), "high": float(b)}
        for name, mean, a, b in figures
        if name.startswith("recall@")
    }
