"""The vectors that answers are scored with, in as many bytes as a catalogue can spare."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FORMATS: dict[str, type[np.generic]] = {"float32": np.float32, "float16": np.float16, "int8": np.int8}
"""Formats by name, finest first."""

AUTO = "auto"
"""In a configuration: the coarsest format that the recall target can afford."""

STEPS = 127
"""An int8 number is a multiple of a 127th of the largest in its dimension."""

FLOAT16_BIAS = np.float32(2.0**112)
"""Factor between float16 bits and the same bits moved to where float32 has them (IEEE 754: 2^(127-15))."""


@dataclass(frozen=True)
class StoredVectors:
    """Vectors as search keeps them: those that its scores are exact for.

    Attributes:
        numbers: [N, D] float32, float16 or int8, may be memory-mapped.
        scale: [D] worth of one unit of a stored number, by dimension; 1 for floats.
    """

    numbers: NDArray[Any]
    scale: NDArray[np.float32]

    @classmethod
    def keep(cls, vectors: NDArray[np.float32], form: str) -> Self:
        """Vectors in another format.

        Args:
            vectors: [N, D] finite.
            form: one of `FORMATS`.

        Raises:
            ValueError: an unknown format, or numbers that float16 cannot hold.
        """
        if form not in FORMATS:
            raise ValueError(f"vectors must be one of {list(FORMATS)}, not '{form}'")
        ones = np.ones(vectors.shape[1], np.float32)
        if form == "float32":
            return cls(vectors, ones)
        largest = np.abs(vectors).max(axis=0, initial=0.0)  # [D]
        if form == "float16":
            if largest.max(initial=0.0) > np.finfo(np.float16).max:
                raise ValueError(f"vectors=float16 holds numbers up to 65504, not {largest.max():g}; take float32")
            return cls(vectors.astype(np.float16), ones)
        scale = np.where(largest > 0, largest / STEPS, 1).astype(np.float32)
        return cls(np.rint(vectors / scale).astype(np.int8), scale)

    @property
    def form(self) -> str:
        """The format's name."""
        return str(self.numbers.dtype)

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.numbers)

    def weighed(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries whose inner products with the stored *numbers* are those with the vectors, [B, D]."""
        return queries if self.form != "int8" else queries * self.scale

    def scores(self, weighed: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products of each query with rows of its own, [B, n].

        To the last bit those that `exact_scores` gives; a row -1 stands for nothing, its score means nothing.

        Args:
            weighed: [B, D] the queries as `weighed` made them.
            rows: [B, n].
        """
        count, dim = rows.shape[1], self.numbers.shape[1]
        taken = np.empty((count, dim), self.numbers.dtype)  # reused by every query: both stay in the cache
        room = np.empty((count, dim), np.float32)
        scores = np.empty(rows.shape, np.float32)
        for number, query in enumerate(weighed):
            self.numbers.take(rows[number], axis=0, out=taken, mode="clip")
            np.vecdot(as_float32(taken, room), query, out=scores[number])
        return scores


def bytes_of(form: str, dim: int) -> int:
    """Bytes of a vector in one of `FORMATS`."""
    return np.dtype(FORMATS[form]).itemsize * dim


def as_float32(numbers: NDArray[Any], room: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Stored numbers as float32, exactly; float32 is not copied.

    Args:
        numbers: float32, float16 or int8, of any shape.
        room: of that shape, to put them into; None for new room.
    """
    if numbers.dtype == np.float32:
        return numbers
    wide = np.empty(numbers.shape, np.float32) if room is None else room
    if numbers.dtype != np.float16:
        wide[...] = numbers
        return wide
    # Three passes over the bits are six times quicker than NumPy's own conversion, which knows no vector units.
    bits = wide.view(np.int32)
    bits[...] = numbers.view(np.int16)  # the sign fills the upper half
    bits <<= 13
    bits &= np.int32(-0x70000001)  # 0x8fffffff: the sign, four bits of the exponent and all below
    wide *= FLOAT16_BIAS
    return wide
