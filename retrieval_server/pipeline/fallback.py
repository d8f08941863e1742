"""Who gets the fallback: those of whom nothing is known; and what it answers under their conditions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import Hits, ItemSearch
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.profile import Profile
from towers.candidates.candidate_pool import TOWERS
from towers.candidates.fallback import Fallback

SPARE = 16
"""Items looked at beyond those wanted; if they are not enough, four times as many."""


def fallback_of(bundle: ServedBundle, profile: Profile) -> Fallback | None:
    """The list that answers somebody; None where the towers do."""
    return bundle.fallback if profile.newcomer else None


def name_of_fallback(bundle: ServedBundle, profile: Profile) -> str:
    """What answers somebody of whom nothing is known, "" for everybody else."""
    if not profile.newcomer:
        return ""
    return TOWERS if bundle.fallback is None else bundle.fallback.name


def listed(
    fallback: Fallback, index: ItemSearch, total: int, k: int, excluded: NDArray[np.int64], allowed: Any = None
) -> Hits:
    """The first k items of a fallback that may come back; behind those it knows, the others in the catalogue's order.

    Args:
        fallback: the list.
        index: of the bundle. An item that has changed keeps its place, one taken out has none.
        total: rows of the bundle, those of items that came later included.
        k: how many items at most.
        excluded: rows that may not come back.
        allowed: what the index takes for the filter; None for none.
    """
    rows, scores, missing = [], [], k
    for some, own in _pieces(fallback, index, total, k):
        may = np.flatnonzero(index.returnable(some, excluded, allowed))[:missing]
        rows.append(some[may])
        scores.append(own[may])
        missing -= len(may)
        if not missing:
            break
    return Hits(np.concatenate(rows), np.concatenate(scores))


def _pieces(
    fallback: Fallback, index: ItemSearch, total: int, k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """All rows in the list's order, piece by piece, and their scores."""
    start, size = 0, k + SPARE
    while start < len(fallback.rows):
        part = slice(start, start + size)
        yield index.current(fallback.rows[part]), fallback.scores[part]
        start, size = start + size, 4 * size
    known = np.zeros(total, np.bool_)
    known[index.current(fallback.rows)] = True
    rest = np.flatnonzero(~known)
    yield rest, np.zeros(len(rest), np.float32)
