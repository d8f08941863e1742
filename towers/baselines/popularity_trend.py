"""Popularity trend: how likely each item is to be taken up now, by everybody alike."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from towers.events.interactions import Interactions

DAY = 86_400.0


def demand(log: Interactions, exclude_seen: bool, half_life_days: float) -> NDArray[np.float64]:
    """Popularity of each item now, [N], 0 for items without events.

    The rate at which it is taken up (see `uptake_rates`); where the log has no times every event counts alike.

    Args:
        log: the events.
        exclude_seen: only first events count, against those who have yet to have one.
        half_life_days: an event this much older than the newest of the log counts half.
    """
    counts = log.counts()
    if not len(log.rows) or np.isnan(log.timestamps).any():
        return counts.astype(np.float64)
    now, _ = uptake_rates(log, exclude_seen, half_life_days, prior_events=1.0)
    return np.where(counts > 0, now, 0.0)


def uptake_rates(
    log: Interactions, exclude_seen: bool, half_life_days: float, prior_events: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How likely somebody who may is to take up each item within a day: now, and on average; see `towers.blocks.trend`.

    Args:
        log: events with times, at least one.
        exclude_seen: only first events count, against those who have yet to have one.
        half_life_days, prior_events: as of `Trend`.

    Returns:
        [N] each.
    """
    events = pd.DataFrame({"user": log.users, "row": log.rows, "time": log.timestamps})
    if exclude_seen:
        events = events.sort_values("time", kind="stable").drop_duplicates(["user", "row"])
    rows, newest, oldest = events["row"].to_numpy(), log.timestamps.max(), log.timestamps.min()
    age = (newest - events["time"].to_numpy()) / DAY
    span = max((newest - oldest) / DAY, 1e-9)
    window = half_life_days / np.log(2) * (1 - 0.5 ** (span / half_life_days))  # days, each by its weight
    people, number = len(log.offsets) - 1, log.num_items
    taken = np.bincount(rows, minlength=number)  # [N]
    recent = np.bincount(rows, 0.5 ** (age / half_life_days), minlength=number)
    once = 1.0 if exclude_seen else 0.0  # an event takes its user from those who may yet have one
    had = once * taken
    had_on_average = once * np.bincount(rows, age / span, minlength=number)  # each from its event on
    prior = prior_events / half_life_days
    return (recent / window + prior) / (people - had + 1), (taken / span + prior) / (people - had_on_average + 1)
