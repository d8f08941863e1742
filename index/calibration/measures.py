"""Index recall against exact search, and time of a query: how any index of a catalogue is measured."""

import time
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.search.exact import Hits, exact_scores, exact_search
from index.search.item_index import ItemIndex

TIMED_ROUNDS = 3
"""A time is the least of so many: whatever else the machine does only adds to it."""


def index_recall(
    index: ItemIndex,
    queries: NDArray[np.float32],
    k: int,
    vectors: NDArray[np.float32] | None = None,
    allowed: NDArray[np.int64] | None = None,
) -> float:
    """Mean share of exact search's k best that the index finds, equal scores being equally good.

    Args:
        index: measured as a whole: candidates, re-scoring, fallbacks.
        queries: [B, D].
        k: depth; at most the number of items.
        vectors: [N, D] that exact search compares; None for the vectors that the index stores, as they are stored.
        allowed: ascending rows that both are narrowed to; None for all.
    """
    if vectors is None:
        compared, asking = index.stored.numbers, index.stored.weighed(queries)
    else:
        compared, asking = vectors, queries
    truth = exact_search(compared, asking, k, allowed=allowed)
    return recall_against(index.search(queries, k, allowed=allowed), truth, compared, asking)


def recall_against(
    answers: list[Hits], truth: list[Hits], vectors: NDArray[Any], queries: NDArray[np.float32]
) -> float:
    """Mean share of the places of exact answers that are filled as well, equal scores being equally good.

    Args:
        answers: answers to the queries, however they were answers.
        truth: exact ones.
        vectors, queries: [N, D] and [B, D] that the exact ones were computed from.
    """
    scores = [exact_scores(vectors[hits.rows], query) for hits, query in zip(answers, queries, strict=True)]
    return float(np.mean(recall_by_query(scores, truth)))


def milliseconds_a_query(index: ItemIndex, queries: NDArray[np.float32], k: int) -> float:
    """Processor time for one query of a batch, on one thread: the least of several rounds."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        rounds = []
        for _ in range(TIMED_ROUNDS):
            start = time.process_time()
            index.search(queries, k)
            rounds.append(time.process_time() - start)
        return min(rounds) / len(queries) * 1000
    finally:
        faiss.omp_set_num_threads(threads)


def recall_by_query(scores: list[NDArray[np.float32]], truth: list[Hits]) -> list[float]:
    """For each query, how many of k places are filled as well as exact search fills its last one."""
    return [
        min(1.0, np.count_nonzero(answers >= exact.scores[-1]) / len(exact.scores))
        for answers, exact in zip(scores, truth, strict=True)
    ]
