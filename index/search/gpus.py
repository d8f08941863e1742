"""The one place that knows of GPUs: they train centroids, the costly part of a build, and search where they can.

The index itself is made, filled and written on the CPU, so it is the same kind of file whatever machine built it, and
4-bit codes, which have no GPU twin, can be used everywhere. To search, an index is copied to the GPUs.
"""

import logging
from queue import SimpleQueue
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.command import UsageError

log = logging.getLogger(__name__)

FAISS: Any = faiss
"""FAISS's own type hints know nothing of GPUs."""

GPU_LIMIT = 2048
"""The most lists a GPU visits and the most candidates it returns; a search that asks for more is the CPU's."""


def train(index: Any, sample: NDArray[np.float32], require_gpu: bool) -> None:
    """Train an index: its centroids on every GPU FAISS sees, or on the CPU after one warning.

    Codes, graphs and centroids that are there already are the CPU's business and no cause for a warning.

    Args:
        index: an untrained CPU `faiss.Index` with the inner-product metric.
        sample: [M, D] vectors to train on.
        require_gpu: refuse to go on without a GPU, or when the GPU fails.

    Raises:
        UsageError: `require_gpu`, and there is none or it failed.
    """
    inner = inner_index(index)
    if not hasattr(inner, "clustering_index") or inner.quantizer.ntotal == inner.nlist:
        index.train(sample)
        return
    trouble = check_gpu(require_gpu)
    if trouble is None:
        try:
            on_gpus = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(inner.d))
            inner.clustering_index = on_gpus  # FAISS keeps a bare pointer: the name keeps the object alive
            index.train(sample)
        except RuntimeError as error:  # most often: out of the GPU's memory
            inner.quantizer.reset()
            trouble = f"the GPU failed: {error}"
            if require_gpu:
                raise UsageError(f"require_gpu=true, but {trouble}") from error
        finally:
            inner.clustering_index = None
    if trouble is not None:
        log.warning("training on the CPU: %s", trouble)
        index.train(sample)


def inner_index(index: Any) -> Any:
    """The index behind a transform such as OPQ's; any other index itself."""
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def check_gpu(require_gpu: bool) -> str | None:
    """Why FAISS cannot use a GPU here, or None when it can.

    Raises:
        UsageError: it cannot, and `require_gpu`.
    """
    if faiss.get_num_gpus() > 0:
        return None
    trouble = "FAISS sees no GPU"
    if not hasattr(faiss, "StandardGpuResources"):
        trouble += " (faiss-cpu is installed; the extra `gpu` brings faiss-gpu)"
    if require_gpu:
        raise UsageError(f"require_gpu=true, but {trouble}")
    return trouble


class OnGpus:
    """Copies of a CPU index on every GPU that FAISS sees, with 16-bit lookup tables.

    Thread-safe: a GPU answers one caller at a time, the next waits for the first that is free.

    Args:
        index: a flat index, or inverted lists of floats, scalar codes or 8-bit product codes.
        shard: a part of the index on each GPU, for one that is larger than a GPU's memory; else the whole on each.

    Raises:
        RuntimeError: there is no GPU, it has no such index, or not the memory for it.
    """

    def __init__(self, index: Any, shard: bool) -> None:
        trouble = check_gpu(require_gpu=False)
        if trouble is not None:
            raise RuntimeError(trouble)
        devices = range(faiss.get_num_gpus())
        self._resources = [FAISS.StandardGpuResources() for _ in devices]  # FAISS keeps bare pointers to them
        self._lists = hasattr(index, "nlist")
        self._free: SimpleQueue[Any] = SimpleQueue()
        if shard:
            options = FAISS.GpuMultipleClonerOptions()
            options.shard = True
            options.useFloat16LookupTables = True
            self._free.put(FAISS.index_cpu_to_gpu_multiple_py(self._resources, index, options, devices))
            return
        options = FAISS.GpuClonerOptions()
        options.useFloat16LookupTables = True
        for device, resources in zip(devices, self._resources, strict=True):
            self._free.put(FAISS.index_cpu_to_gpu(resources, device, index, options))

    def takes(self, depth: int, effort: int) -> bool:
        """Whether a search is within the limits of a GPU."""
        return max(depth, effort) <= GPU_LIMIT

    def search(self, queries: NDArray[np.float32], depth: int, effort: int) -> tuple[Any, Any]:
        """Scores and rows of candidates, [B, depth] both, padded with row -1.

        Args:
            queries: [B, D].
            depth: candidates to return.
            effort: lists visited.
        """
        parameters = FAISS.SearchParametersIVF(nprobe=effort) if self._lists else None
        copy = self._free.get()
        try:
            scores, rows = copy.search(queries, depth, params=parameters)
        finally:
            self._free.put(copy)
        return scores, rows


def to_gpus(index: Any, shard: bool, require_gpu: bool) -> OnGpus | None:
    """Copy a CPU index to the GPUs; None after one warning where that cannot be.

    Args:
        index, shard: as `OnGpus`'.
        require_gpu: refuse to go on without.

    Raises:
        UsageError: `require_gpu`, and it cannot be.
    """
    try:
        return OnGpus(index, shard)
    except RuntimeError as error:
        if require_gpu:
            raise UsageError(f"require_gpu=true, but {type(index).__name__} is not on a GPU: {error}") from error
        log.warning("searching on the CPU: %s is not on a GPU: %s", type(index).__name__, error)
        return None
