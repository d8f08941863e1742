"""The split of judged queries: those a run is evaluated on, and those that what follows its towers learns from."""

import logging

from data_prep.dataset import Dataset
from towers.metrics.config import JudgementConfig
from towers.metrics.judgements import Judgements

log = logging.getLogger(__name__)


def held_out_judgements(settings: JudgementConfig, seed: int, dataset: Dataset) -> Judgements | None:
    """The queries that the towers of a run did not learn from; None where there are none.

    Args:
        settings: the run's.
        seed: the run's, which cut the folds.
        dataset: the data it was trained on.
    """
    if dataset.judgements is None:
        return None
    judged = Judgements.of(dataset)
    if not settings.rate:
        return judged
    if settings.held_out is None:
        log.warning("the run learnt from all judged queries: none is left to judge it by (judgements.held_out=0)")
        return None
    return judged.fold(settings.folds, settings.held_out, seed)


def judgements_to_learn_from(settings: JudgementConfig, seed: int, dataset: Dataset) -> Judgements | None:
    """The queries that neither the towers of a run learnt from nor are held out; None where there are none.

    What the towers learnt from would flatter them beside anything else. Arguments as of `held_out_judgements`.
    """
    if dataset.judgements is None or settings.rate:
        return None
    judged = Judgements.of(dataset)
    if settings.held_out is None:
        return judged
    return judged.outside(settings.folds, settings.held_out, seed)
