"""Which FAISS index a catalogue gets, and why; then that index, trained and filled."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from index.device import train

POINTS_PER_CENTROID = 39
"""Fewer training vectors than this for each centroid make poor centroids (FAISS's own bound)."""

CODE_CENTROIDS = 256
"""Centroids of an 8-bit code, the most any code has."""

ROWS_PER_ADD = 65_536
"""Vectors handed to FAISS at once: bounds what it copies beside the index itself."""

FLAT = "Flat"


@dataclass(frozen=True)
class Plan:
    """An index that was chosen.

    Attributes:
        factory: FAISS's factory string, `IVF1024,PQ128x4fs`.
        reason: why this one, for the log and the report.
    """

    factory: str
    reason: str


class IndexChoice(Protocol):
    """How a catalogue's index is chosen; `conf/index/` holds one file for each."""

    def plan(self, count: int, dim: int) -> Plan:
        """The index for `count` vectors of `dim` numbers."""
        ...


@dataclass(frozen=True)
class Exact:
    """Compare a query with every vector."""

    def plan(self, count: int, dim: int) -> Plan:
        """Always the flat index."""
        return Plan(FLAT, f"exact search over {count:,} vectors was asked for")


@dataclass(frozen=True)
class IvfPq:
    """Inverted lists of product-quantised codes, whose best are scored again from the stored vectors.

    Args:
        lists_per_root: the lists number at most this times √count, the next lower power of two; 2-4 is good.
        dims_per_code: dimensions that share one code. 1 keeps most recall. 2 halves the codes, which then
            describe residuals (FAISS's `r`): without, they lose most on user vectors.
        bits: 4 for codes that are scanned in registers, 8 for plain product quantisation.

    Raises:
        ValueError: an argument outside those.
    """

    lists_per_root: float
    dims_per_code: int
    bits: int

    def __post_init__(self) -> None:
        if self.lists_per_root <= 0:
            raise ValueError(f"lists_per_root must be above 0, not {self.lists_per_root}")
        if self.dims_per_code < 1:
            raise ValueError(f"dims_per_code must be at least 1, not {self.dims_per_code}")
        if self.bits not in (4, 8):
            raise ValueError(f"bits must be 4 or 8, not {self.bits}")

    def plan(self, count: int, dim: int) -> Plan:
        """IVF-PQ, or the flat index when there are too few vectors to train it on."""
        needed = POINTS_PER_CENTROID * 2**self.bits
        if count < needed:
            return Plan(
                FLAT,
                f"too few vectors for product quantisation: {count:,}, and {self.bits}-bit codes are "
                f"trained on {needed:,} or more; exact instead",
            )
        wanted = _power_of_two_below(self.lists_per_root * math.sqrt(count))
        lists = min(wanted, _power_of_two_below(count / POINTS_PER_CENTROID))
        reason = f"{count:,} vectors: {lists:,} lists ({lists / math.sqrt(count):.1f} √n)"
        if lists < wanted:
            reason += f", not {wanted:,}, as a list needs {POINTS_PER_CENTROID} training vectors"
        codes, described = self._codes(dim)
        return Plan(f"IVF{lists},{codes}", f"{reason}, {described}, best candidates re-scored exactly")

    def _codes(self, dim: int) -> tuple[str, str]:
        share = math.gcd(self.dims_per_code, dim)
        parts = dim // share
        if self.bits == 8:  # `np`: without it FAISS trains polysemous codes, nine times slower for nothing
            return f"PQ{parts}np", f"{parts} bytes a vector"
        residual = "r" if share > 1 else ""
        return f"PQ{parts}x4fs{residual}", f"{parts // 2} bytes a vector"


@dataclass(frozen=True)
class Auto:
    """Exact while the catalogue is small enough for it, another index above.

    Args:
        exact_below: catalogues with fewer vectors than this are searched exactly.
        above: the choice for the others.
    """

    exact_below: int
    above: IvfPq

    def plan(self, count: int, dim: int) -> Plan:
        """The flat index below the bound, else what `above` says."""
        if count < self.exact_below:
            return Plan(FLAT, f"{count:,} vectors, fewer than exact_below={self.exact_below:,}: exact")
        return self.above.plan(count, dim)


def make_index(plan: Plan, vectors: NDArray[np.float32], points_per_list: int, seed: int, require_gpu: bool) -> Any:
    """Train and fill the index of a plan; its metric is the inner product, as the towers'.

    Args:
        plan: what `IndexChoice.plan` said.
        vectors: [N, D] finite, may be memory-mapped.
        points_per_list: training vectors for each inverted list, which bounds the sample's size.
        seed: of that sample.
        require_gpu: refuse to train without one.

    Returns:
        a CPU `faiss.Index` with ids 0…N-1.
    """
    count, dim = vectors.shape
    index: Any = faiss.index_factory(dim, plan.factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        size = max(points_per_list * index.nlist, POINTS_PER_CENTROID * CODE_CENTROIDS)
        train(index, _sample(vectors, size, seed), require_gpu)
    for start in range(0, count, ROWS_PER_ADD):
        index.add(np.ascontiguousarray(vectors[start : start + ROWS_PER_ADD]))
    return index


def _sample(vectors: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= size:
        return np.ascontiguousarray(vectors)
    rows = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
    return vectors[np.sort(rows)]  # in order: kind to a memory-mapped file


def _power_of_two_below(value: float) -> int:
    return 1 << max(0, math.floor(math.log2(value)))
