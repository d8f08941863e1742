"""How unlike each other the items of a list are."""

import numpy as np
from numpy.typing import NDArray

LISTS_AT_ONCE = 4096


def intra_list_distance(lists: NDArray[np.int64], directions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of 1 - cosine over all pairs of a list's items.

    Source: Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005.

    Args:
        lists: rows of the items, [U, K]; -1 where a list is shorter.
        directions: unit vectors of all items, [N, d].

    Returns:
        [U]; NaN for a list of fewer than two items.
    """
    distances = np.full(len(lists), np.nan)
    for start in range(0, len(lists), LISTS_AT_ONCE):
        some = lists[start : start + LISTS_AT_ONCE]
        there = some >= 0  # [u, K]
        vectors = directions[some] * there[:, :, np.newaxis]  # [u, K, d]
        total = vectors.sum(axis=1, dtype=np.float64)  # [u, d]
        squares = np.einsum("ukd,ukd->u", vectors, vectors)
        pairs = there.sum(axis=1) * (there.sum(axis=1) - 1)
        cosines = (np.einsum("ud,ud->u", total, total) - squares)[pairs > 0] / pairs[pairs > 0]
        distances[start : start + LISTS_AT_ONCE][pairs > 0] = 1 - cosines
    return distances


def mean_distance(lists: NDArray[np.int64], directions: NDArray[np.float32]) -> float:
    """Mean `intra_list_distance` of the lists of two items or more; 0 where there are none."""
    distances = intra_list_distance(lists, directions)
    known = distances[np.isfinite(distances)]
    return float(known.mean()) if len(known) else 0.0
