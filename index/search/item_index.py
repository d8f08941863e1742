"""Search that keeps its word: exact scores, no -1, and k answers whenever k exist."""

import math
import os
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from index.search.effort import Effort, SearchParameters, Selection
from index.search.exact import (
    Hits,
    among,
    best,
    exact_scores,
    exact_search,
    first_keys,
    hits_of,
    longest,
    ranking_keys,
    rounding_slack,
)
from index.search.gpus import OnGpus, to_gpus
from index.search.stored_vectors import StoredVectors

EXACT_SHARE = 0.25
"""When more than this share of the catalogue would be re-scored, scoring all of it is no dearer."""

FLAT_MARGIN = 32
"""Candidates taken beyond k from a flat index, so that near-ties at the k-th place are seen."""

SCANNED_ROWS = 10_000
"""Of a filter that leaves at most so many rows, all are compared: no index is quicker, and none as good."""

NOTHING = np.iinfo(np.int64).max
"""The ranking key of a candidate that is none."""

# A child forked after a search on several threads waits in its first one for threads that only its parent has.
os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


class ItemIndex:
    """Candidates from FAISS, scored again from the stored vectors.

    Thread-safe: a search changes nothing.

    Args:
        vectors: the stored vectors, or [N, D] float32, which may be memory-mapped.
        index: a `faiss.Index` over those rows, inner product.
        parameters: how hard to look.

    Attributes:
        stored: the vectors that scores are exact for.
        parameters: how hard to look.
        faiss_index: the index that offers candidates.
        scanned_rows: where a filter leaves at most so many rows, all of them are compared.

    Raises:
        ValueError: the index and the vectors do not belong together.
    """

    scanned_rows = SCANNED_ROWS

    def __init__(self, vectors: StoredVectors | NDArray[np.float32], index: Any, parameters: SearchParameters) -> None:
        self.stored = vectors if isinstance(vectors, StoredVectors) else StoredVectors.keep(vectors, "float32")
        count, dim = self.stored.numbers.shape
        if index.ntotal != count or index.d != dim:
            raise ValueError(
                f"the index holds {index.ntotal:,} vectors of dimension {index.d}, "
                f"but there are {count:,} of dimension {dim}"
            )
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ValueError(f"the index's metric is {index.metric_type}, not the inner product")
        self.parameters = parameters
        self.faiss_index = index
        self._effort = Effort(index)
        self._gpus: OnGpus | None = None
        self._longest = None
        if isinstance(index, faiss.IndexFlat):
            if self.stored.form != "float32":
                raise ValueError(f"a flat index compares float32 vectors, but they are stored as {self.stored.form}")
            self._longest = longest(self.stored.numbers)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.stored)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.stored.numbers.shape[1])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allowed: Selection | NDArray[np.int64] | None = None,
    ) -> list[Hits]:
        """The k best items for each query, with their exact inner products.

        Several vectors of one query are searched each on its own; an item scores by the best of them.

        Args:
            queries: [B, D], or [B, K, D] for queries of K vectors.
            k: answers for each query; fewer come back only where fewer exist.
            exclude: for each query, rows that may not be returned.
            allowed: the only rows that may be, whatever the query; `allow` makes rows ready that are used again.
                None for all.

        Raises:
            ValueError: k below 1, a wrong dimension, a query that is not finite, an `exclude` of another
                length, or a row that does not exist.
        """
        if queries.ndim == 3:
            return self._search_interests(queries, k, exclude, allowed)
        queries = self._checked(queries, k)
        excluded = self._excluded(exclude, len(queries))
        if allowed is not None and not isinstance(allowed, Selection):
            allowed = self.allow(allowed)
        weighed = self.stored.weighed(queries)
        hits = self._search_index(queries, weighed, k, excluded, allowed)
        missing = [number for number in range(len(queries)) if number not in hits]
        if missing:
            left = [excluded[number] for number in missing]
            rows_allowed = None if allowed is None else allowed.rows
            scanned = exact_search(self.stored.numbers, weighed[missing], k, left, rows_allowed)
            hits.update(zip(missing, scanned, strict=True))
        return [hits[number] for number in range(len(queries))]

    def _search_index(
        self,
        queries: NDArray[np.float32],
        weighed: NDArray[np.float32],
        k: int,
        excluded: Sequence[NDArray[np.int64]],
        allowed: Selection | None,
    ) -> dict[int, Hits]:
        """Answers of the index, by number of the query; those without have to be compared with all vectors."""
        hits: dict[int, Hits] = {}
        missing = list(range(len(queries)))
        for effort in self._efforts(k, allowed):
            left = [excluded[number] for number in missing]
            depth = self._depth(k, max(map(len, left), default=0))
            if not missing or depth > EXACT_SHARE * (len(self) if allowed is None else len(allowed.rows)):
                break
            rough, rows = self.candidates(queries[missing], depth, effort, allowed)
            keys, due = self._ranked(weighed[missing], rows, k, left, allowed)
            ranked = hits_of(keys)
            enough = np.count_nonzero(keys != NOTHING, axis=1) >= due
            if self._longest is not None:  # a flat index promises exactness: no near-tie may be left unseen
                clear = rough[:, -1] + rounding_slack(queries[missing], self._longest)
                enough &= (due < k) | (ranked.scores[:, -1] > clear)
            for case in np.flatnonzero(enough):
                hits[missing[case]] = Hits(ranked.rows[case, : due[case]], ranked.scores[case, : due[case]])
            missing = [number for number in missing if number not in hits]
        return hits

    def allow(self, rows: NDArray[np.int64]) -> Selection:
        """Make the rows of a filter ready for `search`, for as many searches as want them.

        Raises:
            ValueError: a row does not exist.
        """
        rows = np.asarray(rows, np.int64)
        if (rows[1:] <= rows[:-1]).any():  # those of a filter ascend already
            rows = np.unique(rows)
        self._check_rows("allowed", rows)
        return self._effort.select(rows)

    def returnable(
        self, rows: NDArray[np.int64], exclude: NDArray[np.int64], allowed: Selection | None = None
    ) -> NDArray[np.bool_]:
        """Which of some rows [n] a search that has the same `exclude` and `allowed` may return, [n]."""
        may = ~among(rows, np.unique(exclude))
        return may if allowed is None else may & among(rows, allowed.rows)

    def current(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that the items of some rows [n] have now: the same, as nothing of an index changes."""
        return rows

    def on_gpus(self, shard: bool = False, require_gpu: bool = False) -> Self:
        """The same search with its candidates found by GPUs where they can: without a filter, within their limits.

        Args:
            shard: a part of the index on each GPU; else all of it on each.
            require_gpu: refuse to go on where there is no GPU or it has no such index; else one warning, and the CPU.

        Raises:
            UsageError: `require_gpu`, and it cannot be.
        """
        moved = copy(self)
        moved._gpus = to_gpus(self.faiss_index, shard, require_gpu)
        return moved

    def candidates(
        self, queries: NDArray[np.float32], depth: int, effort: int, allowed: Selection | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Candidates of FAISS before re-scoring: its scores and rows, [B, depth] both, padded with row -1."""
        if self._gpus is not None and allowed is None and self._gpus.takes(depth, effort):
            return self._gpus.search(queries, depth, effort)
        rough, rows = self.faiss_index.search(queries, depth, params=self._effort.parameters(effort, allowed))
        return rough, rows

    def _search_interests(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None,
        allowed: Selection | NDArray[np.int64] | None,
    ) -> list[Hits]:
        """Search for queries of K vectors, [B, K, D].

        No item is lost: whatever stands above an item for the vector it scores best by also scores higher in all, so
        the k best in all are among the k best of their own vectors. An index may have found an item by another vector
        than that, so all are scored again by all.
        """
        batch, interests, dim = queries.shape
        repeated = None if exclude is None else [rows for rows in exclude for _ in range(interests)]
        if exclude is not None and len(exclude) != batch:
            raise ValueError(f"exclude has {len(exclude)} entries for {batch} queries")
        hits = self.search(queries.reshape(batch * interests, dim), k, repeated, allowed)
        weighed = self.stored.weighed(queries.astype(np.float32, copy=False))
        answers = []
        for number in range(batch):
            rows = np.unique(np.concatenate([h.rows for h in hits[number * interests : (number + 1) * interests]]))
            answers.append(best(rows, exact_scores(self.stored.numbers[rows], weighed[number]), k))
        return answers

    def _ranked(
        self,
        weighed: NDArray[np.float32],
        rows: NDArray[np.int64],
        k: int,
        excluded: Sequence[NDArray[np.int64]],
        allowed: Selection | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ranking keys of the k best of FAISS's candidates, [B, k], and how many answers there must be, [B]."""
        keys = ranking_keys(self.stored.scores(weighed, rows), rows)
        keys[rows < 0] = NOTHING  # -1 is FAISS's "nothing"
        due = np.full(len(rows), min(k, len(self) if allowed is None else len(allowed.rows)))
        for number, some in enumerate(excluded):
            if len(some):
                keys[number, among(rows[number], some)] = NOTHING
                due[number] = min(k, self._left(some, allowed))
        return first_keys(keys, k), due

    def _left(self, excluded: NDArray[np.int64], allowed: Selection | None) -> int:
        if allowed is None:
            return len(self) - len(excluded)
        return len(allowed.rows) - int(np.count_nonzero(among(excluded, allowed.rows)))

    def _efforts(self, k: int, allowed: Selection | None) -> Iterator[int]:
        """How hard to look, one effort after another; none where a scan of all that may be found is better."""
        scaled = math.ceil(self.parameters.nprobe * max(1.0, k / self.parameters.k))
        most = self._effort.most
        if allowed is not None:
            if len(allowed.rows) <= self.scanned_rows or not self._effort.selects:
                return
            scaled, most = self._widened(scaled, allowed)
            if scaled >= most:
                return
        yield min(scaled, most)
        if scaled < most and self._effort.lists:
            yield most

    def _widened(self, effort: int, allowed: Selection) -> tuple[int, int]:
        """The effort that meets as many rows that are allowed as this one meets of all, and the most there is."""
        if not self._effort.lists:
            return math.ceil(effort * len(self) / len(allowed.rows)), self._effort.most // 4
        holding = int(np.count_nonzero(allowed.per_list))
        met = effort * len(self) / self._effort.lists
        return math.ceil(met * holding / len(allowed.rows)), holding

    def _depth(self, k: int, excluded: int) -> int:
        if self._longest is not None:
            return min(len(self), k + excluded + FLAT_MARGIN)
        return min(len(self), math.ceil(self.parameters.rescore * max(k, self.parameters.k)) + excluded)

    def _checked(self, queries: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            got = queries.shape[1] if queries.ndim == 2 else f"an array of shape {queries.shape}"
            raise ValueError(f"query dimension: expected {self.dim}, got {got}")
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        broken = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if len(broken):
            raise ValueError(f"queries {broken[:20].tolist()} hold NaN or infinity; every number must be finite")
        return queries

    def _excluded(self, exclude: Sequence[NDArray[np.int64]] | None, batch: int) -> list[NDArray[np.int64]]:
        if exclude is None:
            return [np.empty(0, np.int64)] * batch
        if len(exclude) != batch:
            raise ValueError(f"exclude has {len(exclude)} entries for {batch} queries")
        excluded = [np.unique(np.asarray(rows, np.int64)) for rows in exclude]
        for rows in excluded:
            self._check_rows("exclude", rows)
        return excluded

    def _check_rows(self, name: str, rows: NDArray[np.int64]) -> None:
        if len(rows) and (rows[0] < 0 or rows[-1] >= len(self)):
            raise ValueError(f"{name} names rows {rows[0]}…{rows[-1]}; there are rows 0…{len(self) - 1}")
