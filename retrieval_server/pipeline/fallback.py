"""The fallback for requesters without history: whether it answers, and its items under their constraints."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from index import Hits, ItemSearch
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.profile import RequesterProfile
from towers.candidates import TOWERS, Fallback

SPARE = 16
"""Items looked at beyond those asked for; if they are not enough, four times as many."""


def fallback_of(bundle: ServedBundle, profile: RequesterProfile) -> Fallback | None:
    """The list that answers a requester; None where the towers do."""
    return bundle.fallback if profile.is_unknown else None


def fallback_name(bundle: ServedBundle, profile: RequesterProfile) -> str:
    """The name of what answers a requester without history, "" for everybody else."""
    if not profile.is_unknown:
        return ""
    return TOWERS if bundle.fallback is None else bundle.fallback.name


def fallback_items(
    fallback: Fallback, index: ItemSearch, total: int, k: int, excluded: NDArray[np.int64], allowed: object = None
) -> Hits:
    """The first k items of a fallback that may come back; behind those it knows, the others in the catalogue's order.

    Args:
        fallback: the list.
        index: of the bundle. An item that has changed keeps its place, one taken out has none.
        total: rows of the bundle, those of items that came later included.
        k: how many items at most.
        excluded: rows that may not come back.
        allowed: the filter as the index takes it; None for none.
    """
    rows, scores, missing = [], [], k
    for part_rows, part_scores in _parts(fallback, index, total, k):
        kept = np.flatnonzero(index.returnable(part_rows, excluded, allowed))[:missing]
        rows.append(part_rows[kept])
        scores.append(part_scores[kept])
        missing -= len(kept)
        if not missing:
            break
    return Hits(np.concatenate(rows), np.concatenate(scores))


def _parts(
    fallback: Fallback, index: ItemSearch, total: int, k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """All rows in the list's order, part by part, and their scores."""
    start, size = 0, k + SPARE
    while start < len(fallback.rows):
        part = slice(start, start + size)
        yield index.current(fallback.rows[part]), fallback.scores[part]
        start, size = start + size, 4 * size
    listed = np.zeros(total, np.bool_)
    listed[index.current(fallback.rows)] = True
    rest = np.flatnonzero(~listed)
    yield rest, np.zeros(len(rest), np.float32)
