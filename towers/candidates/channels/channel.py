"""A recall channel: a sparse profile of the user times a sparse table of items.

A baseline scores the whole catalogue; a channel is the form of one that can be served: a few arrays, mapped from disk,
and work in proportion to what a history touches.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from data_prep.files import read_json, write_json
from data_prep.vector_file import save_vectors
from towers.events.history import History
from towers.events.training_data import TrainingData

DESCRIPTION = "channel.json"
SPARSE = ("data", "indices", "indptr", "shape")  # the parts of a sparse table
ROWS_AT_ONCE = 1024  # of a table that is not sparse


Saved: TypeAlias = NDArray[Any] | sp.csr_array
"""An array or a sparse table, saved in files of its own."""


@dataclass(frozen=True)
class UserProfile(ABC):
    """A channel's view of users: sparse rows over X things, which may be items, categories or words.

    Attributes:
        kind: the name that files have for it, whatever the class is called.
    """

    kind: ClassVar[str]

    @abstractmethod
    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """B users, [B, X]. Rows of a history beyond the N items that the channel was fitted to say nothing."""

    @abstractmethod
    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        """The same over another catalogue, and its table; arguments as of `FittedChannel.over`, `table` the one now."""

    def grown(self, items: pd.DataFrame, things: int) -> tuple[Self, sp.csr_array]:
        """The same with M items added behind, and the scores that each thing gives them, [M, X'] with X' ≥ X.

        Things that were learnt from events give none to items which nobody has had yet.

        Args:
            items: those that are added.
            things: X before anything was added.
        """
        return self, sp.csr_array((len(items), things), dtype=np.float32)

    def settings(self) -> dict[str, Any]:
        """Its fields but the arrays, as JSON."""
        return {name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray | sp.csr_array)}

    def arrays(self) -> dict[str, Saved]:
        """Its fields that are arrays."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray | sp.csr_array)}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, Saved]) -> Self:
        """The profile that had these settings and arrays."""
        return cls(**settings, **arrays)


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
        profile: its view of users.
        table: scores that each thing of a profile gives the items, [X, N].
        added: scores that these and X' - X more things give M items added behind, [M, X']; None before there are any.
    """

    profile: UserProfile
    table: sp.csr_array
    added: sp.csr_array | None = None

    def scores(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """Scores of the items it knows something of, [B, N + M]; what is not stored is 0."""
        profiles = self.profile.profiles(histories, queries)  # [B, X']
        if self.added is None:
            return sp.csr_array(profiles @ self.table)
        known = profiles[:, : self.table.shape[0]] @ self.table
        return sp.csr_array(sp.hstack([known, profiles @ self.added.T], format="csr"))

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame) -> Self:
        """The same channel over another catalogue; of items that are new there it knows what they say themselves.

        Args:
            new_rows: row of each item in the new catalogue, [N]; -1 for what it does not have.
            items: the new catalogue.
        """
        return type(self)(*self.profile.over(new_rows, items, self.table))

    def grown(self, items: pd.DataFrame) -> Self:
        """The same channel with items added behind, of which it knows what they say themselves."""
        profile, fresh = self.profile.grown(items, self.table.shape[0])
        if self.added is not None:
            fresh = sp.csr_array(sp.vstack([widened(self.added, fresh.shape[1]), fresh], format="csr"))
        return replace(self, profile=profile, added=fresh)

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into a new folder: arrays and JSON."""
        folder.mkdir(parents=True)
        described: dict[str, Any] = {"kind": self.profile.kind, "settings": self.profile.settings()}
        described |= {"arrays": [], "tables": []}
        for name, array in {"table": self.table, **self.profile.arrays()}.items():
            sparse = isinstance(array, sp.csr_array)
            described["tables" if sparse else "arrays"].append(name)
            parts = {f"{name}.{part}": getattr(array, part) for part in SPARSE} if sparse else {name: array}
            for file, part in parts.items():
                save_vectors(folder / f"{file}.npy", np.ascontiguousarray(part))
        write_json(folder / DESCRIPTION, described)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the arrays are mapped, and shared between processes."""
        described = read_json(folder / DESCRIPTION)
        arrays: dict[str, Saved] = {name: _mapped(folder / f"{name}.npy") for name in described["arrays"]}
        for name in described["tables"]:
            *parts, shape = (_mapped(folder / f"{name}.{part}.npy") for part in SPARSE)
            arrays[name] = sp.csr_array(tuple(parts), shape=tuple(shape.tolist()), copy=False)
        table = arrays.pop("table")
        return cls(PROFILES[described["kind"]].restore(described["settings"], arrays), table)


PROFILES: dict[str, type[UserProfile]] = {}
"""Profiles by their kinds; each is registered beside its class."""

P = TypeVar("P", bound=type[UserProfile])


def registered(profile: P) -> P:
    """A class of profiles, which `FittedChannel.load` knows by its `kind` from now on."""
    assert PROFILES.setdefault(profile.kind, profile) is profile, f"two profiles of kind {profile.kind}"
    return profile


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
    rank = np.arange(len(order)) - table.indptr[rows[order]]  # from 0
    chosen = np.sort(order[(rank < kept) & (table.data[order] > 0)])
    coordinates = (rows[chosen], table.indices[chosen])
    return sp.csr_array((table.data[chosen].astype(np.float32), coordinates), shape=table.shape)
