"""How hard to search: found against exact search, on the vectors of real users."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.progress import track
from index.calibration.measures import milliseconds_a_query, recall_against, recall_by_query
from index.search.effort import Effort, SearchParameters
from index.search.exact import Hits, exact_search, first_keys, ranking_keys
from index.search.item_index import ItemIndex
from index.search.stored_vectors import StoredVectors

RESCORE_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Candidates re-scored for each answer."""

LEAST_GAIN = 0.001
"""Once the target is reached, an effort that adds less recall than this is the last that is tried."""

TIMED_QUERIES = 64
"""Queries in the batch that is timed."""


@dataclass(frozen=True)
class Point:
    """One setting of the curve.

    Attributes:
        nprobe: lists visited; of a graph the length of its queue.
        rescore: candidates re-scored for each answer.
        recall: index recall@k on the users it was tried on.
        milliseconds: of processor time for one query in a batch of 64, on one thread.
    """

    nprobe: int
    rescore: float
    recall: float
    milliseconds: float


@dataclass(frozen=True)
class Calibration:
    """How an index is searched, and the recall that this reaches.

    Attributes:
        parameters: the cheapest setting that reached the target, or the best where none did.
        target: the recall aimed for.
        recall: index recall@k of that setting on the other half of the users, on whom it was not chosen.
        reached: whether the target was reached.
        users: number of user vectors, both halves together.
        curve: the settings that recall more than every cheaper one, cheapest first.
    """

    parameters: SearchParameters
    target: float
    recall: float
    reached: bool
    users: int
    curve: list[Point]


@dataclass(frozen=True)
class Sample:
    """Users and their exact answers.

    Attributes:
        queries: [B, D] their vectors.
        truth: B exact answers.
    """

    queries: NDArray[np.float32]
    truth: list[Hits]


@dataclass(frozen=True)
class Yardstick:
    """The measure of indexes of the same vectors.

    Attributes:
        vectors: [N, D].
        k: depth of the recall.
        users: number of users.
        choosing: half of them, on whom it is chosen how hard to look.
        held_out: the other half, whose recall is reported.
    """

    vectors: NDArray[np.float32]
    k: int
    users: int
    choosing: Sample
    held_out: Sample

    @classmethod
    def of(cls, vectors: NDArray[np.float32], users: NDArray[np.float32], k: int) -> Self:
        """Exact answers for some users.

        Args:
            vectors: [N, D] finite, may be memory-mapped.
            users: [U, D] vectors of real users, or [U, K, D] of K interests each; at least one user. An index is
                searched for one vector at a time, so each interest counts as a query of its own.
            k: depth of the recall; a smaller catalogue lowers it to its size.
        """
        k = min(k, len(vectors))
        halves = (users[::2], users[1::2]) if len(users) > 1 else (users, users)  # a user's interests stay together
        queries = [half.reshape(-1, vectors.shape[1]) for half in halves]
        samples = (Sample(half, exact_search(vectors, half, k)) for half in queries)
        return cls(vectors, k, len(users), *samples)


def calibrate(index: Any, yardstick: Yardstick, target: float, stored: StoredVectors | None = None) -> Calibration:
    """Find the least work that reaches a recall against exact search.

    The settings are compared by the work they make (codes scanned, rows re-scored), not by the clock, so that
    the same index and users always give the same answer. Half the users choose, recall is reported of the other half.

    Args:
        index: a trained `faiss.Index`, filled with the yardstick's vectors.
        yardstick: users and their exact answers.
        target: index recall@k to reach.
        stored: the vectors as search keeps them; None for as they are.
    """
    k, held_out = yardstick.k, yardstick.held_out
    stored = StoredVectors.keep(yardstick.vectors, "float32") if stored is None else stored
    curve = _curve(index, stored, yardstick, target)
    good = [point for point in curve if point.recall >= target]
    choice = good[0] if good else curve[-1]
    parameters = SearchParameters(choice.nprobe, choice.rescore, k)
    answers = ItemIndex(stored, index, parameters).search(held_out.queries, k)
    return Calibration(
        parameters=parameters,
        target=target,
        recall=recall_against(answers, held_out.truth, yardstick.vectors, held_out.queries),
        reached=bool(good),
        users=yardstick.users,
        curve=curve,
    )


def _curve(index: Any, stored: StoredVectors, yardstick: Yardstick, target: float) -> list[Point]:
    k, users = yardstick.k, yardstick.choosing.queries
    effort = Effort(index)
    rescores = (1.0,) if isinstance(index, faiss.IndexFlat) else RESCORE_STEPS
    points: list[Point] = []
    reached = 0.0
    for step in track(effort.steps(), "Calibrating"):
        recalls = _recalls(ItemIndex(stored, index, SearchParameters(step, rescores[-1], k)), yardstick)
        points += [Point(step, rescore, recall, 0.0) for rescore, recall in zip(rescores, recalls, strict=False)]
        gain, reached = recalls[-1] - reached, recalls[-1]
        if reached >= target and gain < LEAST_GAIN:
            break
    points.sort(key=lambda point: effort.nanoseconds(point.nprobe, math.ceil(point.rescore * k)))
    return [
        replace(point, milliseconds=milliseconds_a_query(_searched(stored, index, point, k), users[:TIMED_QUERIES], k))
        for point in _front(points)
    ]


def _searched(stored: StoredVectors, index: Any, point: Point, k: int) -> ItemIndex:
    return ItemIndex(stored, index, SearchParameters(point.nprobe, point.rescore, k))


def _front(points: list[Point]) -> list[Point]:
    """Of points by rising work, those that recall more than all before them."""
    front: list[Point] = []
    for point in points:
        if not front or point.recall > front[-1].recall:
            front.append(point)
    return front


def _recalls(index: ItemIndex, yardstick: Yardstick) -> list[float]:
    """Recall for every re-scoring depth from one search: shallower ones are the deepest one's beginnings."""
    k, users, truth = yardstick.k, yardstick.choosing.queries, yardstick.choosing.truth
    deepest = min(len(index), math.ceil(index.parameters.rescore * k))
    _, rows = index.candidates(users, deepest, index.parameters.nprobe)
    keys = ranking_keys(
        index.stored.scores(index.stored.weighed(users), rows),
        np.broadcast_to(np.arange(deepest), rows.shape),
    )
    worth = StoredVectors.keep(yardstick.vectors, "float32").scores(users, rows)  # [U, deepest], exact
    keys[rows < 0], worth[rows < 0] = np.iinfo(np.int64).max, -np.inf
    recalls = []
    for rescore in (step for step in RESCORE_STEPS if step <= index.parameters.rescore):
        first = first_keys(keys[:, : math.ceil(rescore * k)], k) & 0xFFFFFFFF  # [U, k] positions among the candidates
        scores = np.take_along_axis(worth, np.minimum(first, deepest - 1), axis=1)
        recalls.append(float(np.mean(recall_by_query(list(scores), truth))))
    return recalls
