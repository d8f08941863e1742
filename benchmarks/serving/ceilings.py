"""Cost of the parts of an answer by themselves, in processor time: an answer cannot be cheaper than their sum.

Processor time, because it does not depend on other load, and because cores can be added.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.serving.load import closed_loop
from benchmarks.serving.process import echoing
from index import Bundle
from towers import CrossEncoder, History
from towers.ranking import PAIRS_AT_ONCE

Work = TypeVar("Work")

ROUNDS = 5
"""Each part is timed as often; the median counts."""

BATCHES = 40
"""Batches of different users in each round: the same ones again and again would find everything in the caches."""

ECHOES = 2000
"""Calls that the echo is measured with, each time."""


@dataclass(frozen=True)
class Ceilings:
    """Processor seconds that one request costs in each part.

    Attributes:
        echo: gRPC in Python, messages of the same sizes.
        tower: the user tower, in batches.
        search: the index, in batches.
        pair: the cross-encoder, for one candidate, read the raw way; 0 without a reranker.
    """

    echo: float
    tower: float
    search: float
    pair: float

    def recall(self) -> float:
        """Of a Recall."""
        return self.echo + self.tower + self.search

    def recommend(self, candidates: int) -> float:
        """Of a Recommend that has so many candidates reranked."""
        return self.recall() + candidates * self.pair


def measure(folder: Path, request: bytes, answer_bytes: int, k: int, batch: int, candidates: int) -> Ceilings:
    """Time the parts, one thread each.

    Args:
        folder: of the bundle.
        request: a request of the size that is sent.
        answer_bytes: size of an answer.
        k: items of an answer.
        batch: calls computed in one go.
        candidates: that are reranked for one request.
    """
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    bundle = Bundle.load(folder)
    number = min(BATCHES * batch, len(bundle.histories))
    users = [bundle.histories.at(place).last(bundle.user_encoder.max_history) for place in range(number)]
    seen = [np.unique(user.rows) for user in users]
    batches = [slice(start, start + batch) for start in range(0, number - batch + 1, batch)]
    asked = [""] * batch
    vectors = bundle.user_encoder.encode(users, [""] * number)
    tower = _median(batches, lambda some: bundle.user_encoder.encode(users[some], asked)) / batch
    search = _median(batches, lambda some: bundle.index.search(vectors[some], k, seen[some])) / batch
    pair = 0.0
    if bundle.cross_encoder is not None:
        pair = _median(_readings(bundle, users[: len(batches)], vectors, candidates), lambda one: one()) / candidates
    with echoing(answer_bytes) as echo:
        echoed = []
        for _ in range(ROUNDS):
            before = echo.cpu_seconds()
            closed_loop(echo.address, "Recall", [request], callers=8, calls=ECHOES)
            echoed.append((echo.cpu_seconds() - before) / ECHOES)
    return Ceilings(median(echoed), tower, search, pair)


def _readings(
    bundle: Bundle, users: Sequence[History], vectors: NDArray[np.float32], candidates: int
) -> list[Callable[[], object]]:
    """For each user the reading of what was recalled for them."""
    cross_encoder, texts, titles = (
        bundle.cross_encoder,
        bundle.items["text"].to_numpy(),
        bundle.items["title"].to_numpy(),
    )
    assert isinstance(cross_encoder, CrossEncoder)
    readings: list[Callable[[], object]] = []
    for user, vector in zip(users, vectors, strict=False):
        (hits,) = bundle.index.search(vector[np.newaxis], candidates, [np.unique(user.rows)])
        read = user.last(cross_encoder.input_template.context_items)
        context = cross_encoder.input_template.context(titles[read.rows].tolist(), read.events, "")
        readings.append(partial(_read, cross_encoder, context, texts[hits.rows].tolist(), hits.scores))
    return readings


@torch.inference_mode()
def _read(
    reranker: CrossEncoder, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Scores as of `CrossEncoder.score`, the raw way: the tokenizer makes every pair anew, and the model reads it.

    The time that `score` saves by remembering tokens is no part of the yardstick: it would shrink with the measurement.
    """
    found = np.zeros(len(candidates), np.float32)
    order = np.argsort([len(text) for text in candidates], kind="stable")
    for start in range(0, len(order), PAIRS_AT_ONCE):
        chosen = order[start : start + PAIRS_AT_ONCE]
        texts = [candidates[i] for i in chosen]
        found[chosen] = reranker([context] * len(texts), texts, torch.from_numpy(recall_scores[chosen])).numpy()
    return found


def _median(works: Sequence[Work], do: Callable[[Work], object]) -> float:
    """Processor seconds that one of some works takes, each a different one as calls are: the median of the rounds."""
    for work in works:
        do(work)
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for work in works:
            do(work)
        times.append((time.process_time() - started) / len(works))
    return median(times)
