"""Baselines, channels and blocks as configured, fitted to the same events; those that do not apply are left out."""

import logging
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from data_prep.command import instantiate
from towers.baselines.baseline import Baseline, DoesNotApply
from towers.events.training_data import TrainingData

log = logging.getLogger(__name__)


def fit_each(
    configured: Mapping[str, Any], training: TrainingData, left_out: MutableMapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Name and fitted model of each that applies, fitted when its turn comes, so that memory need hold only one.

    Args:
        configured: name -> config of each, whose `fit` takes the training data.
        training: what they are fitted to.
        left_out: filled with those that do not apply, name -> reason.
    """
    for name, node in configured.items():
        model, began = instantiate(node), time.monotonic()
        try:
            fitted = model.fit(training)
        except DoesNotApply as reason:
            log.warning("%s left out: %s", name, reason)
            left_out[name] = str(reason)
            continue
        log.info("%s: fitted in %.1f s", name, time.monotonic() - began)
        yield name, fitted


def fitted_baselines(
    configured: Mapping[str, Any], training: TrainingData
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Baselines that apply to the data, and those that do not, with the reasons; arguments as of `fit_each`."""
    left_out: dict[str, str] = {}
    return dict(fit_each(configured, training, left_out)), left_out
