"""How hard to search: found against exact search, on the vectors of real users."""

import time
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.progress import track
from index.exact import Hits, exact_scores, exact_search
from index.search import ItemIndex, SearchParameters

RESCORE_STEPS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Candidates re-scored for each answer wanted."""

CODES_PER_RESCORED_ROW = 30
"""A re-scored row costs what scanning so many 4-bit codes does (measured: 0.25 µs against 8 ns)."""

TIMED_QUERIES = 64
"""Queries in the batch that is timed for a point of the curve."""


@dataclass(frozen=True)
class Point:
    """One setting that was tried.

    Attributes:
        nprobe: lists visited.
        rescore: candidates re-scored for each answer wanted.
        recall: index recall@k on the users it was tried on.
        milliseconds: for one query in a batch of 64, on one thread.
    """

    nprobe: int
    rescore: float
    recall: float
    milliseconds: float


@dataclass(frozen=True)
class Calibration:
    """What calibration found.

    Attributes:
        parameters: the cheapest setting that reached the target, or the best where none did.
        recall: index recall@k of that setting on the other half of the users, who had no say in it.
        reached: whether the target was reached.
        users: number of user vectors, both halves together.
        curve: every setting tried, cheapest first.
    """

    parameters: SearchParameters
    recall: float
    reached: bool
    users: int
    curve: list[Point]


def calibrate(
    index: Any, vectors: NDArray[np.float32], users: NDArray[np.float32], k: int, target: float
) -> Calibration:
    """Find the least work that reaches a recall against exact search.

    The settings are compared by the work they make (codes scanned, rows re-scored), not by the clock, so that
    the same index and users always give the same answer. Half the users choose, the other half judge.

    Args:
        index: a trained and filled `faiss.Index`.
        vectors: [N, D] the same vectors.
        users: [U, D] vectors of real users, or [U, K, D] of K interests each; at least one user. The index is
            searched for one vector at a time, so each interest counts as a query of its own.
        k: depth of the recall; a smaller catalogue lowers it to its size.
        target: index recall@k to reach.
    """
    k = min(k, len(vectors))
    halves = (users[::2], users[1::2]) if len(users) > 1 else (users, users)  # a user's interests stay together
    chosen_on, judged_on = (half.reshape(-1, vectors.shape[1]) for half in halves)
    curve = _curve(index, vectors, chosen_on, k)
    curve.sort(key=lambda point: _work(point, index, k))
    good = [point for point in curve if point.recall >= target]
    choice = good[0] if good else max(curve, key=lambda point: point.recall)
    parameters = SearchParameters(choice.nprobe, choice.rescore, k)
    return Calibration(
        parameters=parameters,
        recall=index_recall(ItemIndex(vectors, index, parameters), judged_on, k),
        reached=bool(good),
        users=len(users),
        curve=curve,
    )


def index_recall(index: ItemIndex, queries: NDArray[np.float32], k: int) -> float:
    """Mean share of exact search's k best that the index finds, equal scores being equally good.

    Args:
        index: what is measured, whole: candidates, re-scoring, fallbacks.
        queries: [B, D].
        k: depth; at most the number of items.
    """
    found = index.search(queries, k)
    return float(np.mean(_shares([hits.scores for hits in found], exact_search(index.vectors, queries, k))))


def _curve(index: Any, vectors: NDArray[np.float32], users: NDArray[np.float32], k: int) -> list[Point]:
    truth = exact_search(vectors, users, k)
    lists = index.nlist if hasattr(index, "nlist") else 1
    rescores = RESCORE_STEPS if lists > 1 else RESCORE_STEPS[:1]
    points = []
    for nprobe in track(_probe_steps(lists), "Calibrating"):
        recalls = _recalls(index, vectors, users, truth, nprobe, rescores)
        for rescore, recall in zip(rescores, recalls, strict=True):
            searched = ItemIndex(vectors, index, SearchParameters(nprobe, rescore, k))
            points.append(Point(nprobe, rescore, recall, _milliseconds(searched, users[:TIMED_QUERIES], k)))
    return points


def _recalls(
    index: Any,
    vectors: NDArray[np.float32],
    users: NDArray[np.float32],
    truth: list[Hits],
    nprobe: int,
    rescores: tuple[float, ...],
) -> list[float]:
    """Recall for every re-scoring depth from one search: shallower ones are the deepest one's beginnings."""
    k = len(truth[0].rows)
    searched = ItemIndex(vectors, index, SearchParameters(nprobe, rescores[-1], k))
    _, candidates = searched.candidates(users, min(len(vectors), int(rescores[-1] * k)), nprobe)
    scores = [exact_scores(vectors[rows], user) for rows, user in zip(candidates, users, strict=True)]
    for rows, found in zip(candidates, scores, strict=True):
        found[rows < 0] = -np.inf
    return [float(np.mean(_shares([found[: int(r * k)] for found in scores], truth))) for r in rescores]


def _shares(scores: list[NDArray[np.float32]], truth: list[Hits]) -> list[float]:
    """For each query, how many of k places are filled as well as exact search fills its last one."""
    return [
        min(1.0, np.count_nonzero(found >= exact.scores[-1]) / len(exact.scores))
        for found, exact in zip(scores, truth, strict=True)
    ]


def _milliseconds(index: ItemIndex, queries: NDArray[np.float32], k: int) -> float:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        start = time.perf_counter()
        index.search(queries, k)
        return (time.perf_counter() - start) / len(queries) * 1000
    finally:
        faiss.omp_set_num_threads(threads)


def _probe_steps(lists: int) -> list[int]:
    """Doubling from a 256th of the lists, up to and with all of them."""
    steps = []
    step = max(1, lists // 256)
    while step < lists:
        steps.append(step)
        step *= 2
    return [*steps, lists]


def _work(point: Point, index: Any, k: int) -> float:
    lists = index.nlist if hasattr(index, "nlist") else 1
    scanned = index.ntotal * point.nprobe / lists
    return float(scanned + CODES_PER_RESCORED_ROW * point.rescore * k)
