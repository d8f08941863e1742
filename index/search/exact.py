"""Exact search, and the exact scores that every answer carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.search.stored_vectors import as_float32

ROWS_AT_ONCE = 16_384
QUERIES_AT_ONCE = 256
"""One block of scores is at most 16 MiB, whatever the catalogue's size."""


@dataclass(frozen=True)
class Hits:
    """Answers to one query, best first; equal scores in the order of their rows.

    Attributes:
        rows: [n] rows of the catalogue, each once.
        scores: [n] their inner products with the query.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def exact_scores(vectors: NDArray[Any], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of some vectors with one query.

    A score depends on its vector and the query alone, to the last bit: not on the neighbours, as a matrix
    product's does. So identical items tie exactly, and a query is answered the same alone or in a batch.

    Args:
        vectors: [n, D] float32, float16 or int8.
        query: [D], or [K, D] for the best of several interests.
    """
    if query.ndim == 2:
        each = [exact_scores(vectors, interest) for interest in query]
        return np.asarray(np.max(each, axis=0), np.float32)
    scores: NDArray[np.float32] = np.vecdot(as_float32(vectors), query)
    return scores


def ranking_keys(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """One integer for each scored row; in ascending order they are by descending score, then by row.

    A float's bits, read as an integer, ascend with the float; a negative one's descend and are turned round. The
    upper half of a key holds those, the lower half the row: one sort of integers ranks both.

    Args:
        scores: [..., n].
        rows: [..., n] below 2^32.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # adding 0 makes a 0 of -0
    ascending = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    keys: NDArray[np.int64] = (~ascending).astype(np.int64)
    keys <<= 32
    keys |= rows
    return keys


def first_keys(keys: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The k least of each query's keys, ascending: [..., k], or fewer where there are fewer."""
    if k < keys.shape[-1]:
        keys = np.partition(keys, k - 1, axis=-1)[..., :k]
    return np.sort(keys, axis=-1)


def hits_of(keys: NDArray[np.int64]) -> Hits:
    """The rows and scores that keys were made of."""
    ascending = ~(keys >> 32).astype(np.int32)
    bits: NDArray[np.int32] = ascending ^ ((ascending >> 31) & np.int32(0x7FFFFFFF))
    return Hits(keys & 0xFFFFFFFF, bits.view(np.float32))


def best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Hits:
    """The k best of some scored rows, by descending score, then by row."""
    return hits_of(first_keys(ranking_keys(scores, rows), k))


def merged(hits: Sequence[Hits], k: int) -> Hits:
    """The k best of several answers; an item in more than one has its highest score."""
    rows = np.concatenate([answer.rows for answer in hits])
    ranked = best(rows, np.concatenate([answer.scores for answer in hits]), len(rows))
    _, first = np.unique(ranked.rows, return_index=True)
    kept = np.sort(first)[:k]
    return Hits(ranked.rows[kept], ranked.scores[kept])


def longest(vectors: NDArray[np.float32]) -> float:
    """Length of the longest of some vectors, 0 for none."""
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max(initial=0.0)))


def rounding_slack(queries: NDArray[np.float32], length: float) -> NDArray[np.float32]:
    """How far two ways of adding up an inner product with a vector of at most this length can lie apart: [B].

    Twice the bound n·u·|x|·|y| of each (Higham, Accuracy and Stability of Numerical Algorithms, §3.1).
    """
    unit = np.finfo(np.float32).eps / 2
    slack: NDArray[np.float32] = 4 * queries.shape[1] * unit * length * np.linalg.norm(queries, axis=1)
    return slack


def exact_search(
    vectors: NDArray[Any],
    queries: NDArray[np.float32],
    k: int,
    exclude: Sequence[NDArray[np.int64]] | None = None,
    allowed: NDArray[np.int64] | None = None,
) -> list[Hits]:
    """Search by comparing with every vector, in blocks of bounded memory.

    Args:
        vectors: [N, D] finite float32, float16 or int8, may be memory-mapped.
        queries: [B, D] finite.
        k: answers for each query; fewer come back when fewer exist.
        exclude: for each query, rows that may not be returned.
        allowed: ascending rows, the only ones that may be; None for all.
    """
    hits: list[Hits] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        stop = min(start + QUERIES_AT_ONCE, len(queries))
        excluded = None if exclude is None else exclude[start:stop]
        hits += _search_some(vectors, queries[start:stop], k, excluded, allowed)
    return hits


def _search_some(
    vectors: NDArray[Any],
    queries: NDArray[np.float32],
    k: int,
    exclude: Sequence[NDArray[np.int64]] | None,
    allowed: NDArray[np.int64] | None,
) -> list[Hits]:
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    hits = [nothing] * len(queries)
    count = len(vectors) if allowed is None else len(allowed)
    for start in range(0, count, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, count)
        rows = np.arange(start, stop) if allowed is None else allowed[start:stop]
        block = as_float32(vectors[start:stop] if allowed is None else vectors[rows])
        # The matrix product only decides which rows are scored: all within rounding of the k-th best.
        rough = queries @ block.T  # [B, R]
        slack = rounding_slack(queries, longest(block))  # [B]
        for number, query in enumerate(queries):
            scores = rough[number]
            if exclude is not None:
                here = exclude[number]
                scores[np.searchsorted(rows, here[among(here, rows)])] = -np.inf
            bound = max(_kth(hits[number].scores, k), _kth_largest(scores, k)) - slack[number]
            near = np.flatnonzero((scores >= bound) & (scores > -np.inf))
            exact = exact_scores(block[near], query)
            hits[number] = best(
                np.concatenate([hits[number].rows, rows[near]]),
                np.concatenate([hits[number].scores, exact]),
                k,
            )
    return hits


def among(some: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some rows are among ascending ones."""
    if not len(rows):
        return np.zeros(len(some), bool)
    present: NDArray[np.bool_] = rows.take(np.searchsorted(rows, some), mode="clip") == some
    return present


def _kth(descending: NDArray[np.float32], k: int) -> float:
    return float(descending[k - 1]) if len(descending) >= k else -np.inf


def _kth_largest(scores: NDArray[np.float32], k: int) -> float:
    return float(np.partition(scores, -k)[-k]) if len(scores) >= k else -np.inf
