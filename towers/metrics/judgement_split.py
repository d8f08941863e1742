"""Which judged queries of a dataset a run may be judged by, and which what comes after its towers may learn from."""

import logging
from collections.abc import Mapping
from typing import Any

from data_prep.dataset import Dataset
from towers.metrics.judgements import Judgements

log = logging.getLogger(__name__)

UNTOLD = {"rate": 0, "held_out": None}
"""What runs of before there were judgements learnt from them: nothing."""


def judged_to_judge_by(run: Mapping[str, Any], dataset: Dataset) -> Judgements | None:
    """The queries that the towers of a run did not learn from; None where there are none.

    Args:
        run: its `run.json`.
        dataset: the data it was trained on.
    """
    if dataset.judgements is None:
        return None
    judged, config = Judgements.of(dataset), run["config"]
    settings = config.get("judgements", UNTOLD)
    if not _learnt(run):
        return judged
    if settings["held_out"] is None:
        log.warning("the run learnt from all judged queries: none is left to judge it by (judgements.held_out=0)")
        return None
    return judged.fold(settings["folds"], settings["held_out"], config["seed"])


def judged_to_learn_from(run: Mapping[str, Any], dataset: Dataset) -> Judgements | None:
    """The queries that neither the towers of a run learnt from nor are held out; None where there are none.

    What the towers learnt from would flatter them beside anything else. Arguments as of `judged_to_judge_by`.
    """
    config = run["config"]
    settings = config.get("judgements", UNTOLD)
    if dataset.judgements is None or _learnt(run):
        return None
    judged = Judgements.of(dataset)
    if settings["held_out"] is None:
        return judged
    return judged.outside(settings["folds"], settings["held_out"], config["seed"])


def _learnt(run: Mapping[str, Any]) -> bool:
    """Whether the towers learnt from judged queries."""
    return run["config"].get("judgements", UNTOLD)["rate"] > 0
