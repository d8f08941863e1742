"""The one place that knows of GPUs: k-means, the costly part of a build, runs on them where there are any.

Only the clustering moves. The index itself is made, filled and searched on the CPU, so it is the same kind of
file whatever machine built it, and 4-bit codes, which have no GPU twin, can be used everywhere.
"""

import logging
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.command import UsageError

log = logging.getLogger(__name__)


def train(index: Any, sample: NDArray[np.float32], require_gpu: bool) -> None:
    """Train an IVF index, its centroids on every GPU FAISS sees, or on the CPU after one warning.

    Args:
        index: an untrained `faiss.IndexIVF` with the inner-product metric.
        sample: [M, D] vectors to train on.
        require_gpu: refuse to go on without a GPU, or when the GPU fails.

    Raises:
        UsageError: `require_gpu`, and there is none or it failed.
    """
    trouble = check_gpu(require_gpu)
    if trouble is None:
        try:
            on_gpus = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(index.d))
            index.clustering_index = on_gpus  # FAISS keeps a bare pointer: the name keeps the object alive
            index.train(sample)
        except RuntimeError as error:  # most often: out of the GPU's memory
            index.quantizer.reset()
            trouble = f"the GPU failed: {error}"
            if require_gpu:
                raise UsageError(f"require_gpu=true, but {trouble}") from error
        finally:
            index.clustering_index = None
    if trouble is not None:
        log.warning("training on the CPU: %s", trouble)
        index.train(sample)


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
