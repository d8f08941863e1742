"""Small catalogues that look like real ones: vectors in clusters, users between them."""

import os
from collections.abc import Callable

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The same vectors, each of length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two shared cores: FAISS's threads would only wait for each other."""
    os.environ["OMP_NUM_THREADS"] = "1"
    faiss.omp_set_num_threads(1)


@pytest.fixture(scope="session")
def clustered() -> Callable[[int, int, int], Vectors]:
    """`clustered(count, dim, seed)`: unit vectors around a hundred centres."""

    def make(count: int, dim: int, seed: int) -> Vectors:
        rng = np.random.default_rng(seed)
        centres = unit(rng.normal(size=(100, dim)))
        return unit(centres[rng.integers(100, size=count)] + rng.normal(size=(count, dim)) / np.sqrt(dim))

    return make


@pytest.fixture(scope="session")
def users() -> Callable[[Vectors, int, int], Vectors]:
    """`users(items, count, seed)`: unit vectors each between three items, off the items' manifold."""

    def make(items: Vectors, count: int, seed: int) -> Vectors:
        rng = np.random.default_rng(seed)
        return unit(items[rng.integers(len(items), size=(count, 3))].sum(axis=1))

    return make
