"""Centroids by which a query finds the lists to visit: those that were trained, or the means of the lists' items.

FAISS keeps the centroids of an inner-product index at unit length. That is fair for assigning items to lists. To find
lists the mean itself may be better: with it a query has the inner product that it has with the list's items on average,
and its length tells how tight the list is. Where a list's best items lie far above the average it is worse: both are
tried, on users.
"""

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

ROWS_AT_ONCE = 65_536


def finds_by_means(index: Any) -> bool:
    """Whether an index can: inverted lists under a flat quantizer, whose codes describe items and not residuals.

    A code of residuals describes an item relative to the centroid that it was added with.
    """
    if not isinstance(
        index, faiss.IndexIVFFlat | faiss.IndexIVFPQ | faiss.IndexIVFPQFastScan | faiss.IndexIVFScalarQuantizer
    ):
        return False
    return isinstance(faiss.downcast_index(index.quantizer), faiss.IndexFlat) and not getattr(
        index, "by_residual", False
    )


def assign_by_directions(index: Any) -> None:
    """Put centroids back to unit length, so that an index that was emptied can be filled again."""
    centroids = faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist)
    faiss.normalize_L2(centroids)  # a centroid of nothing stays one
    _put(index, centroids)


def find_by_the_better(
    index: Any,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    truth: Sequence[NDArray[np.int64]],
    share: float,
) -> bool:
    """Have the lists of a filled index found by the means of their items, if users then find theirs in fewer codes.

    Args:
        index: any; where `finds_by_means` is false nothing happens.
        vectors: [N, D] of its items, may be memory-mapped.
        queries: [B, D] vectors of users.
        truth: for each query the rows to be found.
        share: of them that the lists visited have to hold.

    Returns:
        whether the means are taken.
    """
    if not finds_by_means(index):
        return False
    lists = lists_of_rows(index, len(vectors))
    sizes = np.bincount(lists, minlength=index.nlist)  # [lists]
    centroids = faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist)
    means = np.where(sizes[:, np.newaxis] > 0, _means(lists, vectors, sizes), centroids).astype(np.float32)
    targets = [lists[rows] for rows in truth]
    if _codes(queries @ means.T, sizes, targets, share) >= _codes(queries @ centroids.T, sizes, targets, share):
        return False
    _put(index, means)
    return True


def _codes(
    scores: NDArray[np.float32], sizes: NDArray[np.int64], targets: Sequence[NDArray[np.int32]], share: float
) -> float:
    """Codes met for a query, on average, where the lists visited hold a share of all rows to be found.

    Args:
        scores: [B, lists] by which they are visited, highest first.
        sizes: [lists].
        targets: for each query the lists of the rows to be found.
        share: of all those rows.
    """
    order = np.argsort(-scores, axis=1, kind="stable")  # [B, lists]
    position = np.empty_like(order)
    np.put_along_axis(position, order, np.arange(len(sizes))[np.newaxis], axis=1)
    positions = np.sort(np.concatenate([row[lists] for row, lists in zip(position, targets, strict=True)]))
    visited = 1 + positions[min(int(np.ceil(share * len(positions))), len(positions)) - 1]
    return float(sizes[order[:, :visited]].sum(axis=1).mean())


def _means(lists: NDArray[np.int32], vectors: NDArray[np.float32], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the vectors of each list, [lists, D]; 0 for an empty one."""
    sums = np.zeros((len(sizes), vectors.shape[1]))
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = vectors[start : start + ROWS_AT_ONCE]  # [R, D]
        entries = (lists[start : start + ROWS_AT_ONCE], np.arange(len(block)))
        sums += csr_array((np.ones(len(block)), entries), shape=(len(sizes), len(block))) @ block
    return sums / np.maximum(sizes, 1)[:, np.newaxis]


def lists_of_rows(index: Any, count: int) -> NDArray[np.int32]:
    """The inverted list of each of `count` rows, [count]."""
    list_of = np.empty(count, np.int32)
    lists = index.invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            held = lists.get_ids(number)
            list_of[faiss.rev_swig_ptr(held, size)] = number
            lists.release_ids(number, held)
    return list_of


def _put(index: Any, centroids: NDArray[np.float32]) -> None:
    quantizer: Any = faiss.downcast_index(index.quantizer)
    faiss.copy_array_to_vector(centroids.view(np.uint8).ravel(), quantizer.codes)
