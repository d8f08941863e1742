"""Choice of the fallback: whether users without history get a list or the towers' own answer."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.config import Node
from towers.baselines import fit_each
from towers.candidates.candidate_pool import TOWERS
from towers.events import TrainingData
from towers.metrics.bootstrap import Bootstrap
from towers.metrics.cases import Cases
from towers.metrics.paired import PairedComparison
from towers.metrics.ranking_metrics import CUTOFF, NDCG, metric_names
from towers.metrics.users_without_history import metrics_without_history, scores_without_history

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FallbackChoice:
    """The chosen fallback, and why.

    Attributes:
        name: of the list, or "towers" where their own answer is as good.
        why: in words.
        compared: each list beside the towers' own answer, by name; empty where there were no users to compare on.
        left_out: lists that do not apply, name -> reason.
    """

    name: str
    why: str
    compared: dict[str, PairedComparison]
    left_out: dict[str, str]


def choose_fallback(
    towers: NDArray[np.float32],
    lists: Mapping[str, Node],
    training: TrainingData,
    cases: Cases,
    bootstrap: Bootstrap,
) -> FallbackChoice:
    """The list of the highest NDCG@10 if it is better than the towers' own answer beyond chance, else that.

    Args:
        towers: their own scores of every item for a user without history, [N].
        lists: baselines that are the same for everybody, as configured, by name.
        training: the events the towers learnt from, to which the lists are fitted.
        cases: users of the first split that the towers have not seen; their history is taken away.
        bootstrap: of the intervals.
    """
    compared: dict[str, PairedComparison] = {}
    left_out: dict[str, str] = {}
    if not len(cases):
        why = f"{TOWERS}: nobody has anything to be found in the split after training"
        return FallbackChoice(TOWERS, why, compared, left_out)
    column = metric_names(cases.cutoffs).index(f"{NDCG}@{CUTOFF}")
    by_towers = metrics_without_history(towers, cases)[:, column]
    for name, baseline in fit_each(lists, training, left_out):
        by_list = metrics_without_history(scores_without_history(baseline), cases)[:, column]
        compared[name] = PairedComparison.of(by_towers, by_list, bootstrap)
        log.info("%s for users without history: %s", name, compared[name].describe())
    if not compared:
        return FallbackChoice(TOWERS, f"{TOWERS}: there is no list to compare with", compared, left_out)
    best = max(compared, key=lambda name: compared[name].after)
    figures = f"{best} {compared[best].describe()}"
    if compared[best].better:
        return FallbackChoice(best, figures, compared, left_out)
    return FallbackChoice(TOWERS, f"{TOWERS}: not worse beyond chance than {figures}", compared, left_out)
