"""How alike two sets are, from how many members they share."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

ROWS_AT_ONCE = 1024  # rows of a similarity matrix held before they are pruned to the neighbours

Numbers = NDArray[np.float32]


class Similarity(Protocol):
    """Similarity of pairs of sets; only positive values make neighbours.

    Attributes:
        name: as it stands in tables.
    """

    name: str

    def __call__(self, together: Numbers, first: Numbers, second: Numbers, total: int) -> Numbers:
        """Similarities of n pairs.

        Args:
            together: members the two share, [n], at least 1.
            first, second: sizes of the two, [n].
            total: of how many they could have been members.
        """


class Cosine:
    """Cosine of the two sets' indicator vectors (Sarwar et al., WWW 2001)."""

    name = "cosine"

    def __call__(self, together: Numbers, first: Numbers, second: Numbers, total: int) -> Numbers:
        """Shared / geometric mean of sizes, [n]."""
        cosine: Numbers = together / np.sqrt(first * second)
        return cosine


class Pearson:
    """Correlation of the two sets' indicator vectors: the cosine once chance is taken off."""

    name = "pearson"

    def __call__(self, together: Numbers, first: Numbers, second: Numbers, total: int) -> Numbers:
        """Covariance / product of deviations, [n]; 0 where a set holds all."""
        spread = np.sqrt(first * (1 - first / total) * second * (1 - second / total))
        return np.divide(together - first * second / total, spread, out=np.zeros_like(spread), where=spread > 0)


SIMILARITIES: dict[str, Similarity] = {kind.name: kind for kind in (Cosine(), Pearson())}
"""By the names that files have for them."""


@dataclass(frozen=True)
class Sets:
    """M sets over D members.

    Attributes:
        holders: which sets each member is in, [D, M] of ones.
        sizes: members of each set, [M].
    """

    holders: sp.csr_array
    sizes: Numbers

    @classmethod
    def of(cls, matrix: sp.csr_array) -> Self:
        """Rows [M, D] of ones as sets."""
        return cls(sp.csr_array(matrix.T), np.asarray(matrix.sum(axis=1), np.float32))


def nearest(
    queries: sp.csr_array,
    others: Sets,
    similarity: Similarity,
    shrinkage: float,
    neighbours: int,
    themselves: bool,
) -> sp.csr_array:
    """The sets that are most similar to each row of `queries`.

    Args:
        queries: [Q, D] of ones: sets as rows.
        others: M sets.
        similarity: of two sets.
        shrinkage: n shared members count n / (n + shrinkage): chance meetings weigh less (Bell & Koren, 2007).
        neighbours: kept for each row; ties with the last one stay.
        themselves: whether set i may be a neighbour of row i of `queries`.

    Returns:
        [Q, M], positive similarities.
    """
    sizes = np.asarray(queries.sum(axis=1), np.float32)
    parts = [sp.csr_array((0, len(others.sizes)), dtype=np.float32)]
    for start in range(0, queries.shape[0], ROWS_AT_ONCE):
        shared = sp.csr_array(queries[start : start + ROWS_AT_ONCE] @ others.holders)
        row = start + np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
        together = shared.data.astype(np.float32)
        values = similarity(together, sizes[row], others.sizes[shared.indices], queries.shape[1])
        values = values * (together / (together + shrinkage))
        if not themselves:
            values[shared.indices == row] = 0
        shared.data = values
        parts.append(_largest(shared, neighbours))
    return sp.csr_array(sp.vstack(parts))


def _largest(similarities: sp.csr_array, neighbours: int) -> sp.csr_array:
    """The largest positive values of each row and those that tie with the last of them; overwrites its argument."""
    values, bounds = similarities.data, similarities.indptr
    for row in np.flatnonzero(np.diff(bounds) > neighbours):
        of_row = values[bounds[row] : bounds[row + 1]]
        of_row[of_row < np.partition(of_row, -neighbours)[-neighbours]] = 0
    values[values < 0] = 0
    similarities.eliminate_zeros()
    return similarities
