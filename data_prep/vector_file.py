"""The item vectors' file: written so that a full disk says so, read as a map, never unpickled."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_vectors(path: Path, vectors: NDArray[Any]) -> None:
    """Write an `.npy` file; on a full disk `np.save` does not say why it failed, and a memory map dies.

    Args:
        path: the file.
        vectors: [N, D], or any other shape, contiguous.
    """
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(vectors))
        file.write(vectors.data)


def begin_vectors(path: Path, count: int, dim: int) -> None:
    """Write the beginning of an `.npy` file that `append_vectors` fills."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


def append_vectors(path: Path, vectors: NDArray[np.float32], row: int) -> None:
    """Write vectors behind the first rows of a file that `begin_vectors` began; vectors there are lost.

    Args:
        path: the file.
        vectors: [n, D], contiguous.
        row: how many rows stand before them.
    """
    with path.open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        file.seek(row * vectors.shape[1] * vectors.itemsize, os.SEEK_CUR)
        file.truncate()
        file.write(vectors.data)


def map_vectors(path: Path, types: tuple[str, ...] = ("float32",)) -> NDArray[Any]:
    """The vectors of a file, [N, D], read when they are touched and shared between processes.

    Args:
        path: the file.
        types: types of number it may hold.

    Raises:
        ValueError: the file holds something else.
    """
    vectors: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if str(vectors.dtype) not in types or vectors.ndim != 2:
        raise ValueError(f"expected {' or '.join(types)} in two dimensions, got {vectors.dtype} in {vectors.ndim}")
    return vectors.view(np.ndarray)
