"""What a recall channel is: a sparse profile of the user times a sparse table of what leads where.

A baseline scores the whole catalogue; a channel is the form of one that can be served: a few arrays, mapped from disk,
and work in proportion to what a history touches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.files import read_json, write_json
from towers.baselines.training_data import TrainingData
from towers.history import History
from towers.vector_file import save_vectors

DESCRIPTION = "channel.json"
TABLE = ("data", "indices", "indptr")  # the arrays of a sparse table


class Profiling(Protocol):
    """How a channel sees a user: as sparse rows over X things, which may be items, categories or words."""

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """B users, [B, X]. Rows of a history beyond the N items that the channel was fitted to say nothing."""
        ...

    def over(self, places: NDArray[np.int64], count: int) -> tuple[Self, NDArray[np.int64], int]:
        """The same over another catalogue; what became of the X things, [X], -1 for what is gone; and their new number.

        Args:
            places: row of each item in the new catalogue, [N]; -1 for what it does not have.
            count: items of the new catalogue.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What `restore` takes beside the arrays, as JSON."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `restore` takes from files."""
        ...

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What had these settings and arrays."""
        ...


class Channel(Protocol):
    """A channel that is yet to be fitted; settings go to the constructor."""

    def fit(self, training: TrainingData) -> "FittedChannel":
        """Learn from the events.

        Raises:
            DoesNotApply: these data do not allow it.
        """
        ...


@dataclass(frozen=True)
class FittedChannel:
    """A channel that knows its items.

    Attributes:
        profiling: how it sees a user.
        table: what each thing of a profile says of the items, [X, N].
    """

    profiling: Profiling
    table: sp.csr_array

    def scores(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """Scores of the items it knows something of, [B, N]; what is not stored is 0."""
        return sp.csr_array(self.profiling.profiles(histories, queries) @ self.table)

    def over(self, places: NDArray[np.int64], count: int) -> Self:
        """The same channel over another catalogue; of items that are new there it knows nothing.

        Args:
            places: row of each item in the new catalogue, [N]; -1 for what it does not have.
            count: items of the new catalogue.
        """
        profiling, things, number = self.profiling.over(places, count)
        return type(self)(profiling, moved(self.table, things, places, (number, count)))

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into a new folder: arrays and JSON."""
        folder.mkdir(parents=True)
        own = self.profiling.arrays()
        for name in TABLE:
            save_vectors(folder / f"table.{name}.npy", np.ascontiguousarray(getattr(self.table, name)))
        for name, array in own.items():
            save_vectors(folder / f"{name}.npy", np.ascontiguousarray(array))
        kind = type(self.profiling).__name__
        settings, shape = self.profiling.settings(), list(self.table.shape)
        write_json(folder / DESCRIPTION, {"kind": kind, "settings": settings, "shape": shape, "arrays": sorted(own)})

    @classmethod
    def load(cls, folder: Path, kinds: Mapping[str, type[Profiling]]) -> Self:
        """Read what `save` wrote; the arrays are mapped, and shared between processes.

        Args:
            folder: where it was saved.
            kinds: ways of seeing a user, by the names of their classes.
        """
        described = read_json(folder / DESCRIPTION)
        arrays = {name: _mapped(folder / f"{name}.npy") for name in described["arrays"]}
        parts = tuple(_mapped(folder / f"table.{name}.npy") for name in TABLE)
        table = sp.csr_array(parts, shape=tuple(described["shape"]), copy=False)
        return cls(kinds[described["kind"]].restore(described["settings"], arrays), table)


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)


def moved(
    table: sp.csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sp.csr_array:
    """A sparse table whose rows and columns have other places; -1 for those that are gone."""
    row = rows[np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))]
    column = columns[table.indices]
    kept = (row >= 0) & (column >= 0)
    return sp.csr_array((table.data[kept], (row[kept], column[kept])), shape=shape)


def largest(table: sp.csr_array, kept: int) -> sp.csr_array:
    """The largest values of each row of a table, at most `kept`; of equal ones those of lower column."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -table.data, rows))
    place = np.arange(len(order)) - table.indptr[rows[order]]
    chosen = np.sort(order[place < kept])
    coordinates = (rows[chosen], table.indices[chosen])
    return sp.csr_array((table.data[chosen].astype(np.float32), coordinates), shape=table.shape)
