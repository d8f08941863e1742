"""A small shop held in memory, with parts so plain that their answers can be worked out beside them."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from index import Hits
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.process.lifecycle import drain
from retrieval_server.transport.server import RetrievalServer
from towers import History, InputTemplate

ITEMS = 40
DIM = 8
MAX_HISTORY = 5
SECOND = "20990101T000000-0badcafe"
"""The other one of two versions in a folder, where `current` names the first at first."""

ServerFor = Callable[[ServedBundle], AbstractContextManager[RetrievalServer]]
"""Opens a server over a bundle, for a test that needs one of its own."""


class ExactSearch:
    """Inner products with every item, sorted: the obviously right index."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allowed: NDArray[np.int64] | None = None,
    ) -> list[Hits]:
        found = []
        outside = set() if allowed is None else set(range(len(self.vectors))) - set(allowed.tolist())
        for place, query in enumerate(queries):
            scores = self.vectors @ query
            excluded = outside | (set() if exclude is None else set(exclude[place].tolist()))
            order = [row for row in np.argsort(-scores, kind="stable") if row not in excluded][:k]
            rows = np.array(order, np.int64)
            found.append(Hits(rows=rows, scores=scores[rows]))
        return found

    def returnable(
        self, rows: NDArray[np.int64], exclude: NDArray[np.int64], allowed: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_]:
        return ~np.isin(rows, exclude) & (allowed is None or np.isin(rows, allowed))

    def current(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows


def attributes() -> pd.DataFrame:
    """Something of everything that filters ask of, also nothing where there is none."""
    rows = np.arange(ITEMS)
    return pd.DataFrame(
        {
            "item_id": [item(row) for row in rows],
            "category": pd.array([None if row % 7 == 6 else f"c{row % 7}" for row in rows], "str"),
            "brand": pd.array([None if row % 5 == 4 else f"b{row % 5}" for row in rows], "str"),
            "price": np.where(rows % 9 == 0, np.nan, rows / 4),
            "in_stock": rows % 3 != 0,
        }
    )


class MeanEncoder:
    """The mean of a history's vectors, turned by the length of the query; a stranger is the first axis."""

    max_history = MAX_HISTORY

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self.vectors = vectors
        self.seen: list[tuple[History, str]] = []

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        self.seen.extend(zip(histories, queries, strict=True))
        return np.stack([self.one(history, query) for history, query in zip(histories, queries, strict=True)])

    def one(self, history: History, query: str) -> NDArray[np.float32]:
        vector = np.eye(DIM, dtype=np.float32)[0]
        if len(history.rows):
            vector = self.vectors[history.rows].mean(axis=0)
        return np.roll(vector, len(query)).astype(np.float32)


class PlainCrossEncoder:
    """Scores by how near a text's last number is to the length of the context, in steps of four: it makes ties.

    Candidates with a towers' score above one come before all others.
    """

    input_template = InputTemplate(None, context_items=2, event_types=False)

    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        wanted = len(context) % ITEMS
        near = [-(abs(int(text.split()[-1]) - wanted) // 4) for text in candidates]
        return np.array(near, np.float32) + ITEMS * (recall_scores > 1)


def item(row: int) -> str:
    return f"item-{row}"


class GatedEncoder:
    """Lets calls in and keeps them there until it is opened."""

    max_history = MAX_HISTORY

    def __init__(self, whole: ServedBundle) -> None:
        self._whole = whole.user_encoder
        self._gate = threading.Event()
        self._busy = threading.Event()
        self.calls = 0
        self.batches: list[int] = []

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        self.calls += len(histories)
        self.batches.append(len(histories))
        self._busy.set()
        assert self._gate.wait(60)
        return self._whole.encode(histories, queries)

    def wait_until_busy(self) -> None:
        assert self._busy.wait(60)

    def open(self) -> None:
        self._gate.set()


@dataclass
class Gated:
    """A server whose calls wait at a gate."""

    server: RetrievalServer
    encoder: GatedEncoder

    def batched(self) -> int:
        """Calls that wait to be computed together."""
        return len(self.server.recall.batcher.queue)

    def drain(self, lame_duck_seconds: float = 0.5, grace_seconds: float = 30.0) -> bool:
        return drain(self.server, lame_duck_seconds, grace_seconds)
