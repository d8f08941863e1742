"""Trained and filled indexes for tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.search.factory import Plan, fill, train_index


def make_index(
    plan: Plan,
    vectors: NDArray[np.float32],
    points_per_list: int,
    seed: int,
    require_gpu: bool,
    centroids: NDArray[np.float32] | None = None,
) -> Any:
    """The index of a plan over some vectors, with ids 0…N-1."""
    index = train_index(plan, vectors, points_per_list, seed, require_gpu, centroids)
    fill(index, vectors)
    return index
