"""Search that keeps its word: exact scores, no -1, and k answers whenever k exist."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.exact import Hits, best, exact_scores, exact_search, longest, merged, rounding_slack

EXACT_SHARE = 0.25
"""When more than this share of the catalogue would be re-scored, scoring all of it is no dearer."""

FLAT_MARGIN = 32
"""Candidates taken beyond k from a flat index, so that near-ties at the k-th place are seen."""


@dataclass(frozen=True)
class SearchParameters:
    """How hard to look, as calibrated.

    Attributes:
        nprobe: inverted lists visited; 1 for an index that has none.
        rescore: candidates scored again from their vectors, for each answer wanted.
        k: the number of answers the two were calibrated for. More answers visit more lists in proportion;
            fewer re-score as many candidates, as the approximate order misleads near the top too.
    """

    nprobe: int
    rescore: float
    k: int


class ItemIndex:
    """Candidates from FAISS, scored again from the stored vectors.

    Thread-safe: a search changes nothing.

    Args:
        vectors: [N, D] float32, may be memory-mapped.
        index: a `faiss.Index` over those rows, inner product.
        parameters: how hard to look.

    Raises:
        ValueError: the index and the vectors do not belong together.
    """

    def __init__(self, vectors: NDArray[np.float32], index: Any, parameters: SearchParameters) -> None:
        count, dim = vectors.shape
        if index.ntotal != count or index.d != dim:
            raise ValueError(
                f"the index holds {index.ntotal:,} vectors of dimension {index.d}, "
                f"but there are {count:,} of dimension {dim}"
            )
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ValueError(f"the index's metric is {index.metric_type}, not the inner product")
        self.vectors = vectors
        self.parameters = parameters
        self._index = index
        self._lists = index.nlist if hasattr(index, "nlist") else 1
        self._longest = longest(vectors) if isinstance(index, faiss.IndexFlat) else None

    def __len__(self) -> int:
        """Number of items."""
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
    ) -> list[Hits]:
        """The k best items for each query, with their exact inner products.

        Several vectors of one query are searched each on its own; an item scores by the best of them.

        Args:
            queries: [B, D], or [B, K, D] for queries of K vectors.
            k: answers wanted; fewer come back only where fewer exist.
            exclude: for each query, rows that may not be returned.

        Raises:
            ValueError: k below 1, a wrong dimension, a query that is not finite, an `exclude` of another
                length or with a row that does not exist.
        """
        if queries.ndim == 3:
            return self._search_interests(queries, k, exclude)
        queries = self._checked(queries, k)
        barred = self._barred(exclude, len(queries))
        hits: dict[int, Hits] = {}
        missing = list(range(len(queries)))
        for nprobe in self._efforts(k):
            depth = self._depth(k, max((len(barred[number]) for number in missing), default=0))
            if not missing or depth > EXACT_SHARE * len(self):
                break
            rough, candidates = self.candidates(queries[missing], depth, nprobe)
            for place, number in enumerate(missing):
                found = self._rescored(queries[number], k, barred[number], rough[place], candidates[place])
                if found is not None:
                    hits[number] = found
            missing = [number for number in missing if number not in hits]
        scanned = exact_search(self.vectors, queries[missing], k, [barred[number] for number in missing])
        hits.update(zip(missing, scanned, strict=True))
        return [hits[number] for number in range(len(queries))]

    def _search_interests(
        self, queries: NDArray[np.float32], k: int, exclude: Sequence[NDArray[np.int64]] | None
    ) -> list[Hits]:
        """Search for queries of K vectors, [B, K, D].

        No item is lost: whatever stands above an item for the vector it scores best by also scores higher in all, so
        the k best in all are among the k best of their own vectors.
        """
        batch, interests, dim = queries.shape
        repeated = None if exclude is None else [rows for rows in exclude for _ in range(interests)]
        if exclude is not None and len(exclude) != batch:
            raise ValueError(f"exclude has {len(exclude)} entries for {batch} queries")
        hits = self.search(queries.reshape(batch * interests, dim), k, repeated)
        return [merged(hits[start : start + interests], k) for start in range(0, len(hits), interests)]

    def _rescored(
        self,
        query: NDArray[np.float32],
        k: int,
        barred: NDArray[np.int64],
        rough: NDArray[np.float32],
        candidates: NDArray[np.int64],
    ) -> Hits | None:
        """The best of what FAISS offers for a query, or None where that is not enough."""
        rows = np.sort(candidates[candidates >= 0])  # -1 is FAISS's "nothing"; order is kind to mapped files
        if len(barred):
            rows = rows[np.isin(rows, barred, assume_unique=True, invert=True)]
        if len(rows) < min(k, len(self) - len(barred)):
            return None
        found = best(rows, exact_scores(self.vectors[rows], query), k)
        if self._longest is not None:  # a flat index promises exactness: no near-tie may be left unseen
            slack = rounding_slack(query[None], self._longest)[0]
            if len(found.rows) == k and found.scores[-1] <= rough[-1] + slack:
                return None
        return found

    def candidates(
        self, queries: NDArray[np.float32], depth: int, nprobe: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What FAISS offers before re-scoring: its scores and rows, [B, depth] both, padded with row -1."""
        parameters = None
        if self._lists > 1:
            parameters = faiss.SearchParametersIVF()
            parameters.nprobe = nprobe
        rough, rows = self._index.search(queries, depth, params=parameters)
        return rough, rows

    def _efforts(self, k: int) -> tuple[int, ...]:
        """Lists to visit: as calibrated, in proportion for a larger k, then all of them."""
        scaled = math.ceil(self.parameters.nprobe * max(1.0, k / self.parameters.k))
        return (scaled, self._lists) if scaled < self._lists else (self._lists,)

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

    def _barred(self, exclude: Sequence[NDArray[np.int64]] | None, batch: int) -> list[NDArray[np.int64]]:
        if exclude is None:
            return [np.empty(0, np.int64)] * batch
        if len(exclude) != batch:
            raise ValueError(f"exclude has {len(exclude)} entries for {batch} queries")
        barred = [np.unique(np.asarray(rows, np.int64)) for rows in exclude]
        for rows in barred:
            if len(rows) and (rows[0] < 0 or rows[-1] >= len(self)):
                raise ValueError(f"exclude names rows {rows[0]}…{rows[-1]}; there are rows 0…{len(self) - 1}")
        return barred
