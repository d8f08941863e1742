"""Baselines as configured, fitted, all of them at once."""

import logging
from collections.abc import Mapping
from typing import Any

from data_prep.command import instantiate
from towers.baselines.baseline import Baseline, DoesNotApply
from towers.events.training_data import TrainingData

log = logging.getLogger(__name__)


def fitted_baselines(
    configured: Mapping[str, Any], training: TrainingData
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Those that apply to the data, and those that do not, with the reasons.

    Args:
        configured: name -> config of each, as `conf/baselines` has them.
        training: what they are fitted to.
    """
    fitted: dict[str, Baseline] = {}
    left_out: dict[str, str] = {}
    for name, node in configured.items():
        baseline: Baseline = instantiate(node)
        try:
            fitted[name] = baseline.fit(training)
        except DoesNotApply as reason:
            log.warning("%s left out: %s", name, reason)
            left_out[name] = str(reason)
    return fitted, left_out
