"""Cold items: what no model has seen in training, and how well it is found all the same."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from towers.metrics.bootstrap import Bootstrap, Estimate
from towers.metrics.evaluation import Cases, Outcome
from towers.metrics.ranking_metrics import RECALL, metric_names


def cold_cases(cases: Cases, counts: NDArray[np.int64]) -> Cases:
    """The users who want an item without any training event, and only those items of what they want.

    Args:
        cases: everyone.
        counts: training events of each item, [N].
    """
    truth = [relevant[counts[relevant] == 0] for relevant in cases.truth]
    kept = np.array([len(relevant) > 0 for relevant in truth], np.bool_)
    return replace(
        cases,
        users=cases.users[kept],
        ends=cases.ends[kept],
        truth=[relevant for relevant in truth if len(relevant)],
    )


def summarize_cold(outcome: Outcome, cases: Cases, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """Recall of the cold items, the whole catalogue being ranked, by metric.

    Args:
        outcome: of a scorer.
        cases: on `cold_cases`.
        bootstrap: of the intervals.
    """
    estimates = bootstrap.estimates(outcome.metrics, metric_names(cases.cutoffs))
    return {name: estimate for name, estimate in estimates.items() if name.startswith(f"{RECALL}@")}
