"""What the parts of an answer cost by themselves, in processor time: an answer cannot be cheaper than their sum.

Processor time, because what else the machine does costs it nothing, and because cores can be added.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import torch

from benchmarks.serving.load import closed_loop
from benchmarks.serving.process import echoing
from index import Bundle
from towers import History

ROUNDS = 5
"""Each part is timed as often, and its cheapest time counts: a cold cache is nobody's ceiling."""

ECHOES = 2000
"""Calls that the echo is measured with, each time."""


@dataclass(frozen=True)
class Ceilings:
    """Processor seconds that one request costs in each part.

    Attributes:
        echo: gRPC in Python, messages of the same sizes.
        tower: the user tower, in batches.
        search: the index, in batches.
        pair: the cross-encoder, for one candidate; 0 without a reranker.
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
    users = [bundle.histories.at(place) for place in range(min(batch, len(bundle.histories)))]
    users += [History.empty()] * (batch - len(users))
    vectors = bundle.user_encoder.encode(users, [""] * batch)
    seen = [np.unique(user.rows) for user in users]
    tower = _fastest(lambda: bundle.user_encoder.encode(users, [""] * batch)) / batch
    search = _fastest(lambda: bundle.index.search(vectors, k, seen)) / batch
    pair = 0.0
    if bundle.reranker is not None:
        reranker, texts = bundle.reranker, bundle.items["text"].head(candidates).tolist()
        titles = bundle.items["title"].head(reranker.rendering.context_items).tolist()
        context = reranker.rendering.context(titles, [""] * len(titles), "")
        pair = _fastest(lambda: reranker.score(context, texts, np.zeros(candidates, np.float32))) / candidates
    with echoing(answer_bytes) as echo:
        echoed = []
        for _ in range(ROUNDS):
            before = echo.cpu_seconds()
            closed_loop(echo.address, "Recall", [request], callers=8, calls=ECHOES)
            echoed.append((echo.cpu_seconds() - before) / ECHOES)
    return Ceilings(min(echoed), tower, search, pair)


def _fastest(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(10):
            work()
        times.append((time.process_time() - started) / 10)
    return min(times)
