"""Exact search, and the exact scores that every answer carries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def exact_scores(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of some vectors with one query.

    A score depends on its vector and the query alone, to the last bit: not on the neighbours, as a matrix
    product's does. So identical items tie exactly, and a query is answered the same alone or in a batch.

    Args:
        vectors: [n, D].
        query: [D], or [K, D] for the best of several interests.
    """
    if query.ndim == 2:
        each = [exact_scores(vectors, interest) for interest in query]
        return np.asarray(np.max(each, axis=0), np.float32)
    scores: NDArray[np.float32] = np.einsum("nd,d->n", vectors, query)
    return scores


def best(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Hits:
    """The k best of some scored rows, by descending score, then by row."""
    order = np.lexsort((rows, -scores))[:k]
    return Hits(rows[order], scores[order])


def merged(hits: Sequence[Hits], k: int) -> Hits:
    """The k best of several answers; an item in more than one has its highest score."""
    rows = np.concatenate([answer.rows for answer in hits])
    found = best(rows, np.concatenate([answer.scores for answer in hits]), len(rows))
    _, first = np.unique(found.rows, return_index=True)
    kept = np.sort(first)[:k]
    return Hits(found.rows[kept], found.scores[kept])


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
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    exclude: Sequence[NDArray[np.int64]] | None = None,
) -> list[Hits]:
    """Search by comparing with every vector, in blocks of bounded memory.

    Args:
        vectors: [N, D] finite, may be memory-mapped.
        queries: [B, D] finite.
        k: answers wanted for each query; fewer come back when fewer exist.
        exclude: for each query, rows that may not be returned.
    """
    hits: list[Hits] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        stop = min(start + QUERIES_AT_ONCE, len(queries))
        barred = None if exclude is None else exclude[start:stop]
        hits += _search_block(vectors, queries[start:stop], k, barred)
    return hits


def _search_block(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    k: int,
    exclude: Sequence[NDArray[np.int64]] | None,
) -> list[Hits]:
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    hits = [nothing] * len(queries)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        block = np.asarray(vectors[start : start + ROWS_AT_ONCE])
        # The matrix product only decides what is scored: all within rounding of the k-th best.
        rough = queries @ block.T  # [B, R]
        slack = rounding_slack(queries, longest(block))  # [B]
        for number, query in enumerate(queries):
            scores = rough[number]
            if exclude is not None:
                here = exclude[number] - start
                scores[here[(here >= 0) & (here < len(block))]] = -np.inf
            bound = max(_kth(hits[number].scores, k), _kth_largest(scores, k)) - slack[number]
            rows = np.flatnonzero((scores >= bound) & (scores > -np.inf))
            found = exact_scores(block[rows], query)
            hits[number] = best(
                np.concatenate([hits[number].rows, rows + start]),
                np.concatenate([hits[number].scores, found]),
                k,
            )
    return hits


def _kth(descending: NDArray[np.float32], k: int) -> float:
    return float(descending[k - 1]) if len(descending) >= k else -np.inf


def _kth_largest(scores: NDArray[np.float32], k: int) -> float:
    return float(np.partition(scores, -k)[-k]) if len(scores) >= k else -np.inf
