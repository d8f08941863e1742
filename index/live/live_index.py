"""Search over a bundle's index and the items that came or changed since, as if they were one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.search.effort import SearchParameters, Selection
from index.search.exact import Hits, merged
from index.search.item_index import ItemIndex

SPARE = 8
"""Answers asked for beyond those that items taken out are expected to cost; if it is not enough, four times as many."""


@dataclass(frozen=True)
class LiveSelection:
    """The rows that a filter leaves, made ready for a search.

    Attributes:
        main: of the bundle's own items.
        added: of added items, counted from 0; None where there are none.
    """

    main: Selection
    added: Selection | None


@dataclass(frozen=True)
class LiveIndex:
    """An index whose items can be taken out, and a segment of added ones that is searched exactly. Never changes.

    Rows 0…N-1 are the index's own; added items have those behind.

    Attributes:
        main: the bundle's index, N items.
        alive: [N] whether an item of it is still there.
        added: exact search over added items, M of them; None before there are any.
        added_alive: [M] whether an added item is still there.
        successors: for rows whose item now has another one, that row.
    """

    main: ItemIndex
    alive: NDArray[np.bool_]
    added: ItemIndex | None
    added_alive: NDArray[np.bool_]
    successors: Mapping[int, int]

    def __len__(self) -> int:
        """Number of items that can be found."""
        return int(self.alive.sum() + self.added_alive.sum())

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.main.dim

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allowed: LiveSelection | None = None,
    ) -> list[Hits]:
        """The k best items for each query; see `ItemIndex.search`.

        Args:
            queries: [B, D] or [B, K, D].
            k: answers for each query; fewer come back only where fewer exist.
            exclude: for each query, rows that may not be returned; an item that has changed is meant by its former
                rows too.

        Raises:
            ValueError: as `ItemIndex.search`.
        """
        count = len(self.main)
        excluded = (
            [np.empty(0, np.int64)] * len(queries) if exclude is None else list(map(self._with_successors, exclude))
        )
        if len(excluded) != len(queries):
            raise ValueError(f"exclude has {len(excluded)} entries for {len(queries)} queries")
        main = None if allowed is None else allowed.main
        hits = self._search_main(queries, k, [rows[rows < count] for rows in excluded], main)
        added = None if allowed is None else allowed.added
        if self.added is None or (allowed is not None and added is None):
            return hits
        dead = np.flatnonzero(~self.added_alive)
        excluded_added = [np.append(rows[rows >= count] - count, dead) for rows in excluded]
        answers = self.added.search(queries, k, excluded_added, added)
        moved = (Hits(answer.rows + count, answer.scores) for answer in answers)
        return [merged(pair, k) for pair in zip(hits, moved, strict=True)]

    def returnable(
        self, rows: NDArray[np.int64], exclude: NDArray[np.int64], allowed: LiveSelection | None = None
    ) -> NDArray[np.bool_]:
        """Which of some rows [n] may come back, [n]; see `ItemIndex.returnable`."""
        count, excluded = len(self.main), self._with_successors(exclude)
        may, of_bundle = np.zeros(len(rows), bool), rows < count
        main = None if allowed is None else allowed.main
        may[of_bundle] = self.alive[rows[of_bundle]] & self.main.returnable(rows[of_bundle], excluded, main)
        added = None if allowed is None else allowed.added
        if self.added is not None and (allowed is None or added is not None):
            later = rows[~of_bundle] - count
            may[~of_bundle] = self.added_alive[later] & self.added.returnable(later, excluded - count, added)
        return may

    def current(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that the items of some rows [n] have now, [n]; of an item that is gone its last one."""
        if not self.successors:
            return rows
        former, later = self._moved
        at = np.minimum(np.searchsorted(former, rows), len(former) - 1)
        return np.where(former[at] == rows, later[at], rows)

    @cached_property
    def _moved(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Former rows of items that have another one now, ascending, and those."""
        former = np.array(sorted(self.successors), np.int64)
        return former, np.array([self.successors[row] for row in former.tolist()], np.int64)

    @cached_property
    def _gone(self) -> int:
        """Items of the index that are gone."""
        return len(self.alive) - int(np.count_nonzero(self.alive))

    def _with_successors(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.asarray(rows, np.int64)
        total = len(self.main) + len(self.added_alive)
        if len(rows) and rows.max() >= total:
            raise ValueError(f"exclude names row {rows.max()}; there are rows 0…{total - 1}")
        if not self.successors:
            return rows
        former, later = self._moved
        at = np.minimum(np.searchsorted(former, rows), len(former) - 1)
        return np.append(rows, later[at[former[at] == rows]])

    def _search_main(
        self, queries: NDArray[np.float32], k: int, exclude: Sequence[NDArray[np.int64]], allowed: Selection | None
    ) -> list[Hits]:
        """The best of the bundle's items: more are asked for than are answered, as some are gone."""
        gone = self._gone
        if gone == 0:
            return self.main.search(queries, k, exclude, allowed)
        hits: dict[int, Hits] = {}
        missing = list(range(len(queries)))
        spare = min(gone, SPARE + 2 * k * gone // len(self.alive))
        while missing:
            answers = self.main.search(queries[missing], k + spare, [exclude[number] for number in missing], allowed)
            for number, answer in zip(missing, answers, strict=True):
                there = self.alive[answer.rows]
                hits[number] = Hits(answer.rows[there][:k], answer.scores[there][:k])
            cut = [number for number, answer in zip(missing, answers, strict=True) if len(answer.rows) == k + spare]
            missing = [number for number in cut if len(hits[number].rows) < k]
            spare = min(gone, 4 * spare)
        return [hits[number] for number in range(len(queries))]


def segment(vectors: NDArray[np.float32]) -> ItemIndex | None:
    """An index of added items that compares a query with all of them; None for none.

    Args:
        vectors: [M, D].
    """
    if not len(vectors):
        return None
    flat: Any = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    return ItemIndex(vectors, flat, SearchParameters(nprobe=1, rescore=1.0, k=1))
