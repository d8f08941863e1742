"""What a recall channel is: a sparse profile of the user times a sparse table of what leads where.

A baseline scores the whole catalogue; a channel is the form of one that can be served: a few arrays, mapped from disk,
and work in proportion to what a history touches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.files import read_json, write_json
from data_prep.vector_file import save_vectors
from towers.events.history import History
from towers.events.training_data import TrainingData

DESCRIPTION = "channel.json"
TABLE = ("data", "indices", "indptr")  # the arrays of a sparse table
ROWS_AT_ONCE = 1024  # of a table that is not sparse


class Profiling(Protocol):
    """How a channel sees a user: as sparse rows over X things, which may be items, categories or words."""

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """B users, [B, X]. Rows of a history beyond the N items that the channel was fitted to say nothing."""
        ...

    def over(self, places: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        """The same over another catalogue, and its table; arguments as of `FittedChannel.over`, `table` the one now."""
        ...

    def grown(self, items: pd.DataFrame) -> tuple[Self, sp.csr_array]:
        """The same with M items added behind, and what each thing says of them, [M, X'] with X' ≥ X."""
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
        added: what these and X' - X more things say of M items added behind, [M, X']; None before there are any.
    """

    profiling: Profiling
    table: sp.csr_array
    added: sp.csr_array | None = None

    def scores(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """Scores of the items it knows something of, [B, N + M]; what is not stored is 0."""
        profiles = self.profiling.profiles(histories, queries)  # [B, X']
        if self.added is None:
            return sp.csr_array(profiles @ self.table)
        known = profiles[:, : self.table.shape[0]] @ self.table
        return sp.csr_array(sp.hstack([known, profiles @ self.added.T], format="csr"))

    def over(self, places: NDArray[np.int64], items: pd.DataFrame) -> Self:
        """The same channel over another catalogue; of items that are new there it knows what they say themselves.

        Args:
            places: row of each item in the new catalogue, [N]; -1 for what it does not have.
            items: the new catalogue.
        """
        return type(self)(*self.profiling.over(places, items, self.table))

    def grown(self, items: pd.DataFrame) -> Self:
        """The same channel with items added behind, of which it knows what they say themselves."""
        profiling, fresh = self.profiling.grown(items)
        if self.added is not None:
            fresh = sp.csr_array(sp.vstack([widened(self.added, fresh.shape[1]), fresh], format="csr"))
        return replace(self, profiling=profiling, added=fresh)

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


def _dense(table: NDArray[np.float32], kept: int) -> sp.csr_array:
    """The positive values that are among the `kept` largest of their rows, or equal to the last of them."""
    parts = []
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = table[start : start + ROWS_AT_ONCE]
        last = max(rows.shape[1] - kept, 0)
        least = np.partition(rows, last, axis=1)[:, last, np.newaxis]
        parts.append(sp.csr_array(np.where((rows >= least) & (rows > 0), rows, 0)))
    return sp.csr_array(sp.vstack(parts))


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)


def widened(table: sp.csr_array, columns: int) -> sp.csr_array:
    """A sparse table with empty columns behind, so many in all; the values are shared."""
    return sp.csr_array((table.data, table.indices, table.indptr), shape=(table.shape[0], columns))


def largest(table: sp.csr_array | NDArray[np.float32], kept: int) -> sp.csr_array:
    """The largest positive values of each row of a table, at most `kept`; of equal ones those of lower column."""
    if isinstance(table, np.ndarray):
        table = _dense(table, kept)
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -table.data, rows))
    place = np.arange(len(order)) - table.indptr[rows[order]]
    chosen = np.sort(order[(place < kept) & (table.data[order] > 0)])
    coordinates = (rows[chosen], table.indices[chosen])
    return sp.csr_array((table.data[chosen].astype(np.float32), coordinates), shape=table.shape)
