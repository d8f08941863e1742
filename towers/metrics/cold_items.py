"""Cold items: items without training events, and how well they are found all the same."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from towers.metrics.bootstrap import Bootstrap, Estimate
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Outcome
from towers.metrics.ranking_metrics import RECALL, metric_names


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


def summarize_cold(outcome: Outcome, cases: Cases, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Recall of the cold items, the whole catalogue being ranked, by metric.

    Args:
        outcome: of a scorer.
        cases: on `cold_cases`.
        bootstrap: of the intervals.
    """
    estimates = bootstrap.estimates(outcome.metrics, metric_names(cases.cutoffs))
    return {name: estimate for name, estimate in estimates.items() if name.startswith(f"{RECALL}@")}
