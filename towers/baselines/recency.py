"""A user as a weighted bag of items."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from towers.events.history import History, basket_starts

NOTHING = 1e-7  # a weight this far below the newest event's does not move a float32 sum


def recency_profiles(histories: Sequence[History], num_items: int, decay: float) -> sp.csr_array:
    """Histories as sparse rows, the newest event weighing 1, the one before `decay`, then decay^2, …

    Events of one instant have no order: all of a basket weigh as its middle does.

    Args:
        histories: B histories.
        num_items: N.
        decay: between 0 (the newest alone) and 1 (all alike).

    Returns:
        [B, N]; an item's repeats add up.
    """
    weights = [recency_weights(history, decay) for history in histories]
    lengths = [len(part) for part in weights]
    newest = [history.rows[len(history.rows) - n :] for history, n in zip(histories, lengths, strict=True)]
    columns = np.concatenate(newest) if newest else np.zeros(0, np.int64)
    data = np.concatenate(weights) if weights else np.zeros(0, np.float32)
    users = np.repeat(np.arange(len(histories)), lengths)
    return sp.csr_array((data, (users, columns)), shape=(len(histories), num_items))


def recency_weights(history: History, decay: float) -> NDArray[np.float32]:
    """Weights of the newest events, as many as count, [≤ L]; arguments as of `recency_profiles`."""
    length = len(history.rows)
    starts = basket_starts(history.timestamps)
    middle = starts + (np.bincount(starts, minlength=length)[starts] - 1) / 2  # [L]
    weights = np.power(float(decay), length - 1 - middle)
    kept = weights >= NOTHING * weights.max(initial=0.0)
    return weights[np.argmax(kept) :].astype(np.float32) if length else np.zeros(0, np.float32)


def basket_profiles(histories: Sequence[History], num_items: int, step_weights: Sequence[float]) -> sp.csr_array:
    """The newest baskets of histories as sparse rows, every event of the last one weighing the first weight, and so on.

    Args:
        histories: B histories.
        num_items: N.
        step_weights: of the last basket, the one before it, …

    Returns:
        [B, N]; an item's repeats add up.
    """
    profiles = sp.csr_array((len(histories), num_items), dtype=np.float32)
    for step, weight in enumerate(step_weights, start=1):
        back = [_basket(history, step) for history in histories]
        profiles = profiles + np.float32(weight) * recency_profiles(back, num_items, 1.0)
    return sp.csr_array(profiles)


def _basket(history: History, step: int) -> History:
    """The basket that is the last but `step` - 1 of a history; empty if there were not as many."""
    starts = np.unique(basket_starts(history.timestamps))
    if step > len(starts):
        return History.empty()
    part = slice(starts[-step], starts[1 - step] if step > 1 else None)
    return History(history.rows[part], history.events[part], history.timestamps[part])


def sets(histories: Sequence[History], num_items: int) -> sp.csr_array:
    """Histories as sets, [B, N] of ones: neither order nor repeats count."""
    profiles = recency_profiles(histories, num_items, 1.0)
    profiles.sum_duplicates()
    profiles.data[:] = 1
    return profiles
