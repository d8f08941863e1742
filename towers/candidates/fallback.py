"""The fallback: one list, under a name, for every user without history."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from data_prep.vector_file import save_vectors

FALLBACK = "fallback"
"""Folder of a bundle's fallback; without one such users get the towers' own answer."""

CONFIG, ROWS, SCORES = "fallback.json", "rows.npy", "scores.npy"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Fallback:
    """A list that is the same for everybody.

    Attributes:
        name: as answers give it, such as "trending".
        rows: the items that have a score [M], best first.
        scores: of each [M], descending, all above 0.
    """

    name: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, name: str, scores: NDArray[np.float32]) -> Self:
        """The list of a catalogue's items by their scores [N]; of equal ones the lower row comes first, 0 is none."""
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores > 0)]
        return cls(name, order.astype(np.int64), scores[order].astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into a new folder."""
        folder.mkdir()
        save_vectors(folder / ROWS, np.ascontiguousarray(self.rows))
        save_vectors(folder / SCORES, np.ascontiguousarray(self.scores))
        write_json(folder / CONFIG, {"format": FORMAT_VERSION, "name": self.name})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the arrays are mapped, and shared between processes.

        Raises:
            UsageError: it is of another format.
        """
        settings = read_json(folder / CONFIG)
        if settings["format"] != FORMAT_VERSION:
            raise UsageError(
                f"{folder}: format {settings['format']}, this version reads {FORMAT_VERSION}; build the bundle anew"
            )
        rows, scores = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (ROWS, SCORES))
        return cls(settings["name"], rows.view(np.ndarray), scores.view(np.ndarray))
