"""The item vectors' file: written so that a full disk says so, read as a map, never unpickled."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_vectors(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write an `.npy` file; on a full disk `np.save` does not say why it failed, and a memory map dies.

    Args:
        path: the file.
        vectors: [N, D], contiguous.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(vectors))
        file.write(vectors.data)


def map_vectors(path: Path) -> NDArray[np.float32]:
    """The vectors of a file, [N, D], read when they are touched and shared between processes.

    Raises:
        ValueError: the file holds something else.
    """
    vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ValueError(f"expected float32 in two dimensions, got {vectors.dtype} in {vectors.ndim}")
    return vectors.view(np.ndarray)
