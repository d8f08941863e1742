"""The index factory: which FAISS index a catalogue gets, and why; then that index, trained and filled."""

import logging
import math
import re
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.command import UsageError
from index.search.gpus import inner_index, train
from index.search.list_means import assign_by_directions, finds_by_means

log = logging.getLogger(__name__)

POINTS_PER_CENTROID = 39
"""Fewer training vectors than this for each centroid make poor centroids (FAISS's own bound)."""

CODE_CENTROIDS = 256
"""Centroids of an 8-bit code, the most any code has."""

ROWS_PER_ADD = 65_536
"""Vectors handed to FAISS at once: bounds its copies beside the index itself."""

ROTATION_ROUNDS = 8
"""Rounds of OPQ's training; FAISS's own 50 take minutes and end where these do."""

FLAT = "Flat"

OURS = {"Refine": "re-scoring", "RFlat": "re-scoring", "IDMap": "the table of ids"}
"""Parts of a factory string whose work is done here already."""


@dataclass(frozen=True)
class Plan:
    """An index that was chosen.

    Attributes:
        factory: FAISS's factory string, `IVF1024,PQ128x4fs`.
        reason: why this one, for the log and the report.
        vectors: format of the vectors that candidates are scored again with, one of `FORMATS` of the stored vectors,
            or `auto`.
    """

    factory: str
    reason: str
    vectors: str = "float32"


def plan_index(template: str, count: int, dim: int, lists_per_root: float, vectors: str) -> Plan:
    """The plan of a factory string; the flat index where there are too few vectors to train it.

    Args:
        template: a FAISS factory string, in which `{lists}` stands for at most `lists_per_root` √count inverted
            lists (the next lower power of two), `{dim}` for the dimension and `{half}` for half of it.
        count, dim: of the vectors.
        lists_per_root: 2-4 is good.
        vectors: format of the stored vectors.

    Raises:
        UsageError: FAISS does not know the string, or it makes something that cannot be served well.
    """
    root = math.sqrt(count)
    most = _power_of_two_below(lists_per_root * root)
    lists = min(most, _power_of_two_below(count / POINTS_PER_CENTROID))
    try:
        factory = template.format(lists=lists, dim=dim, half=max(1, dim // 2))
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"index.factory: '{template}' may hold {{lists}}, {{dim}} and {{half}}; {error}") from error
    index = parse_factory(factory, dim)
    if isinstance(index, faiss.IndexFlat):
        return Plan(FLAT, f"exact search over {count:,} vectors was asked for")
    needed = POINTS_PER_CENTROID * _centroids(index)
    if count < needed:
        return Plan(
            FLAT, f"too few vectors for {factory}: {count:,}, it is trained on {needed:,} or more; exact instead"
        )
    reason = f"{count:,} vectors"
    if "{lists}" in template:
        reason += f": {lists:,} lists ({lists / root:.1f} √n)"
        if lists < most:
            reason += f", not {most:,}, as a list needs {POINTS_PER_CENTROID} training vectors"
    return Plan(factory, f"{reason}, best candidates re-scored exactly", vectors)


def parse_factory(factory: str, dim: int) -> Any:
    """The untrained index of a factory string, inner product.

    Raises:
        UsageError: FAISS does not know the string; it re-scores or maps ids, which is done here; it would train
            polysemous codes; its metric cannot be the inner product.
    """
    for part, work in OURS.items():
        if part in factory:
            raise UsageError(f"index.factory: '{factory}' has {part}, but {work} is this package's; leave it out")
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        reason = str(error).rsplit("Error: ", 1)[-1].strip()
        raise UsageError(
            f"index.factory: FAISS makes no index of dimension {dim} from '{factory}': {reason}"
        ) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise UsageError(f"index.factory: '{factory}' cannot search by inner product, the towers' metric")
    inner = inner_index(index)
    if getattr(inner, "do_polysemous_training", False):
        named = re.sub(r"PQ\d+(x8)?", r"\g<0>np", factory)
        raise UsageError(
            f"index.factory: '{factory}' trains polysemous codes, nine times slower and for nothing; write '{named}'"
        )
    if isinstance(inner, faiss.IndexIVFPQFastScan) and not inner.by_residual and inner.pq.dsub > 1:
        log.warning(
            "index.factory: '%s' has codes of %d dimensions that do not describe residuals and lose most on users' "
            "vectors; '%sr' keeps them",
            *(factory, inner.pq.dsub, factory),
        )
    return index


def train_index(
    plan: Plan,
    vectors: NDArray[np.float32],
    points_per_list: int,
    seed: int,
    require_gpu: bool,
    centroids: NDArray[np.float32] | None = None,
) -> Any:
    """The trained, empty index of a plan; its metric is the inner product, as the towers'.

    Args:
        plan: which index.
        vectors: [N, D] finite, may be memory-mapped.
        points_per_list: training vectors for each inverted list, which bounds the sample's size.
        seed: of that sample.
        require_gpu: refuse to train without one.
        centroids: [lists, D] of the inverted lists, from an index of as many; None to train them.

    Returns:
        a CPU `faiss.Index`; `fill` adds vectors.
    """
    index = parse_factory(plan.factory, vectors.shape[1])
    inner = inner_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        _shorten_rotation(index)
    elif centroids is not None and getattr(inner, "nlist", None) == len(centroids):
        inner.quantizer.train(centroids)
        inner.quantizer.add(centroids)
    if not index.is_trained:
        size = max(points_per_list * getattr(inner, "nlist", 0), POINTS_PER_CENTROID * CODE_CENTROIDS)
        train(index, _sample(vectors, size, seed), require_gpu)
    return index


def fill(index: Any, vectors: NDArray[np.float32]) -> None:
    """Add vectors to a trained, empty index, in chunks."""
    if finds_by_means(index):  # so it may have been before it was emptied
        assign_by_directions(index)
    for start in range(0, len(vectors), ROWS_PER_ADD):
        index.add(np.ascontiguousarray(vectors[start : start + ROWS_PER_ADD]))


def centroids_of(index: Any) -> NDArray[np.float32] | None:
    """Centroids of an index's inverted lists, [lists, D], for another index of as many; None where it has none."""
    if not hasattr(index, "nlist"):
        return None
    centroids: NDArray[np.float32] = faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist)
    return centroids


def _centroids(index: Any) -> int:
    """The most centroids that any part of an index is trained to."""
    inner = inner_index(index)
    bits = inner.pq.nbits if hasattr(inner, "pq") else 0
    return max(getattr(inner, "nlist", 1), 1 << bits)


def _shorten_rotation(index: Any) -> None:
    for number in range(index.chain.size()):
        rotation = faiss.downcast_VectorTransform(index.chain.at(number))
        if isinstance(rotation, faiss.OPQMatrix):
            rotation.niter = ROTATION_ROUNDS


def _sample(vectors: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= size:
        return np.ascontiguousarray(vectors)
    rows = np.random.default_rng(seed).choice(len(vectors), size, replace=False)
    return vectors[np.sort(rows)]  # in order: kind to a memory-mapped file


def _power_of_two_below(value: float) -> int:
    return 1 << max(0, math.floor(math.log2(max(1.0, value))))
