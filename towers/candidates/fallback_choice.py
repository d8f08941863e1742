"""What those of whom nothing is known get: decided on users whose history is taken away."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.command import instantiate
from towers.baselines import Baseline, DoesNotApply, TrainingData
from towers.candidates.candidate_pool import TOWERS
from towers.candidates.channel_selection import Gain
from towers.candidates.labelled_pools import CUTOFF
from towers.metrics.cases import Cases
from towers.metrics.evaluation import metric_names
from towers.metrics.users_without_history import as_newcomers, stranger_scores

log = logging.getLogger(__name__)

DECIDING = f"ndcg@{CUTOFF}"


@dataclass(frozen=True)
class FallbackChoice:
    """What was decided, and why.

    Attributes:
        name: of the list, or "towers" where their own answer is as good.
        why: in words.
        compared: each list beside the towers' own answer, by name; empty where nobody could be asked.
        left_out: lists that do not apply, name -> reason.
    """

    name: str
    why: str
    compared: dict[str, Gain]
    left_out: dict[str, str]


def choose_fallback(
    towers: NDArray[np.float32],
    lists: Mapping[str, Any],
    training: TrainingData,
    cases: Cases,
    bootstrap: tuple[int, float, int],
) -> FallbackChoice:
    """The list of the highest NDCG@10 if it is better than the towers' own answer beyond chance, else that.

    Args:
        towers: their own scores of every item for a stranger, [N].
        lists: baselines that are the same for everybody, as configured, by name.
        training: the events the towers learnt from, to which the lists are fitted.
        cases: users of the first split that the towers have not seen.
        bootstrap: samples, confidence and seed of the intervals.
    """
    compared: dict[str, Gain] = {}
    left_out: dict[str, str] = {}
    if not len(cases):
        why = f"{TOWERS}: nobody has anything to be found in the split after training"
        return FallbackChoice(TOWERS, why, compared, left_out)
    column = metric_names(cases.cutoffs).index(DECIDING)
    own = as_newcomers(towers, cases)[:, column]
    for name, node in lists.items():
        baseline: Baseline = instantiate(node)
        try:
            scores = stranger_scores(baseline.fit(training))
        except DoesNotApply as reason:
            left_out[name] = str(reason)
            continue
        compared[name] = Gain.of(own, as_newcomers(scores, cases)[:, column], *bootstrap)
        log.info("%s for newcomers: %s", name, compared[name].told())
    if not compared:
        return FallbackChoice(TOWERS, f"{TOWERS}: there is no list to compare with", compared, left_out)
    best = max(compared, key=lambda name: compared[name].after)
    said = f"{best} {compared[best].told()}"
    if compared[best].low > 0:
        return FallbackChoice(best, said, compared, left_out)
    return FallbackChoice(TOWERS, f"{TOWERS}: not worse beyond chance than {said}", compared, left_out)
