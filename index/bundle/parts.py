"""The parts of a bundle, described once: the meaning of each, its file or folder, how it is written and read.

The build fills `BundleParts` and writes them, a server loads them, `BundleView` adds how requests look things up. A new
part that is a folder of its own is one line of `Parts`; only the code that makes it and uses it is left to write.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.grown_table import Table
from data_prep.vector_file import map_vectors, save_vectors
from index.bundle.histories import Histories
from index.bundle.item_file import map_items, save_items
from index.bundle.manifest import BundleError, Manifest
from index.search.exact import Hits
from index.search.item_index import ItemIndex
from index.search.stored_vectors import FORMATS, StoredVectors
from towers import CrossEncoder, Funnel, History, InputTemplate, ModelEncoder
from towers.candidates import Fallback
from towers.model import ItemEncoder
from towers.ranking import load_served

T = TypeVar("T")

ITEMS = "items.parquet"
MAPPED_ITEMS = "items.arrow"
VECTORS = "vectors.npy"
INDEX = "index.faiss"
STORED = "stored.npy"
SCALE = "stored_scale.npy"
HISTORIES = "histories.parquet"
MODEL = "model"
CROSS_ENCODER = "cross_encoder"
SHOWN_TEXTS = "texts.arrow"
"""In the cross-encoder's folder: the texts of items as it is shown them, where those are not the items' own."""


class ItemSearch(Protocol):
    """Finds the rows of the largest inner products; `ItemIndex` is one."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allowed: Any = None,
    ) -> list[Hits]:
        """For each of the queries [B, d] or [B, interests, d] at most k rows, best first, none of its excluded ones.

        With `allowed`, which the view's `allowed` made for this index, only rows of that.
        """
        ...

    def returnable(self, rows: NDArray[np.int64], exclude: NDArray[np.int64], allowed: Any = None) -> NDArray[np.bool_]:
        """Which of some rows [n] a search that has the same `exclude` and `allowed` may return, [n]."""
        ...

    def current(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that the items of some rows [n] have now, [n]: an item that changes gets another one."""
        ...


class UserEncoding(Protocol):
    """Turns histories and queries into vectors; `towers.ModelEncoder` is one."""

    @property
    def max_history(self) -> int:
        """How many events of a history it reads."""
        ...

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        """One vector per history and query [B, d], or one for each interest of theirs [B, interests, d]."""
        ...


class Scoring(Protocol):
    """Scores candidate texts against a context; `towers.CrossEncoder` is one."""

    @property
    def input_template(self) -> InputTemplate:
        """How requesters and items were shown to it in training, and are to be now."""
        ...

    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """One score per candidate [n], higher is better; it may use the towers' own scores [n]."""
        ...


@dataclass(frozen=True)
class FolderPart:
    """How a part that is a folder of its own, named as its field is, is written and read."""

    save: Callable[[Any, Path], object]
    load: Callable[[Path], Any]


def in_folder(save: Callable[[Any, Path], object], load: Callable[[Path], Any]) -> dict[Any, Any]:
    """Metadata of a field whose part lies in a folder named as the field is, or is None and has no folder."""
    return {FolderPart: FolderPart(save, load)}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that requests are answered with, in whatever form: built, loaded, changed since, served.

    Attributes:
        vectors: item vectors [N, D], which the user encoder reads; the index may have coarser ones. `vectors.npy`.
        index: search over them. `index.faiss`; `stored.npy` where it scores with coarser vectors.
        user_encoder: makes a query vector from a history and a query text. `model/`.
        cross_encoder: scores candidates anew, where one was trained.
        funnel: channels beside the index, and how their candidates are ordered; None where the index does it alone.
        query_funnel: the same for requests with a query.
        fallback: the list for users without history; None for the towers' own answer.
    """

    vectors: Table[np.float32]
    index: ItemSearch
    user_encoder: UserEncoding
    cross_encoder: Scoring | None = field(default=None, metadata=in_folder(CrossEncoder.save, load_served))
    funnel: Funnel | None = field(default=None, metadata=in_folder(Funnel.save, Funnel.load))
    query_funnel: Funnel | None = field(default=None, metadata=in_folder(Funnel.save, Funnel.load))
    fallback: Fallback | None = field(default=None, metadata=in_folder(Fallback.save, Fallback.load))


FOLDERS: Mapping[str, FolderPart] = {
    part.name: part.metadata[FolderPart] for part in fields(Parts) if FolderPart in part.metadata
}
"""The parts that are folders of their own, by name."""


@dataclass(frozen=True, kw_only=True)
class BundleParts(Parts):
    """All that is written into a bundle, and read again.

    Attributes:
        vectors, index, user_encoder: as of all parts.
        items: the item table and `popularity`; row order is index order. `items.parquet`; `items.arrow`, mapped.
        item_encoder: makes vectors of items that come or change while the bundle serves. `model/`.
        histories: newest events of users. `histories.parquet`.
    """

    vectors: NDArray[np.float32]
    index: ItemIndex
    user_encoder: ModelEncoder
    items: pd.DataFrame
    item_encoder: ItemEncoder
    histories: Histories

    def write(self, folder: Path) -> None:
        """Write every part into the folder of a new bundle."""
        self.user_encoder.save(folder / MODEL)
        self.item_encoder.save(folder / MODEL)
        self.items.to_parquet(folder / ITEMS, index=False)
        save_items(folder / MAPPED_ITEMS, self.items)
        self.histories.save(folder / HISTORIES)
        save_vectors(folder / VECTORS, self.vectors)
        _save_index(folder, self.index)
        for name, part in FOLDERS.items():
            if getattr(self, name) is not None:
                part.save(getattr(self, name), folder / name)
        if self.cross_encoder is not None and self.cross_encoder.input_template.template is not None:
            shown = pd.DataFrame({Columns.TEXT: self.cross_encoder.input_template.items(self.items)})
            save_items(folder / CROSS_ENCODER / SHOWN_TEXTS, shown)

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> Self:
        """Read the parts that `write` wrote; large ones are memory-mapped.

        Args:
            folder: the bundle's folder, whose files were checked.
            manifest: its manifest.

        Raises:
            BundleError: a file is undamaged, and is nonsense all the same.
        """
        items, vectors = parsed(map_items, folder / MAPPED_ITEMS), parsed(map_vectors, folder / VECTORS)
        if vectors.shape != (manifest.items, manifest.dim) or len(items) != manifest.items:
            raise BundleError(
                f"{folder}: {len(items):,} items and vectors of shape {vectors.shape}, but the manifest says "
                f"{manifest.items:,} items of dimension {manifest.dim}"
            )
        lacking = {Columns.ITEM_ID, Columns.TITLE, Columns.TEXT} - set(items.columns)
        if lacking:
            raise BundleError(f"{folder / MAPPED_ITEMS} has no column {sorted(lacking)[0]!r}")
        users = ModelEncoder.load(folder / MODEL, vectors)
        folder_parts = {
            name: parsed(part.load, folder / name) for name, part in FOLDERS.items() if (folder / name).is_dir()
        }
        return cls(
            items=items,
            vectors=vectors,
            index=_load_index(folder, manifest, vectors),
            user_encoder=users,
            item_encoder=ItemEncoder.load(folder / MODEL, users, vectors),
            histories=parsed(Histories.load, folder / HISTORIES),
            **folder_parts,
        )


def parsed(read: Callable[[Path], T], path: Path) -> T:
    """Read a file whose hash is right; that it is nonsense all the same is its author's fault.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        return read(path)
    except (ValueError, RuntimeError, OSError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error


def _save_index(folder: Path, index: ItemIndex) -> None:
    if index.stored.form != "float32":
        save_vectors(folder / STORED, index.stored.numbers)
        save_vectors(folder / SCALE, index.stored.scale)
    faiss.write_index(index.faiss_index, os.fspath(folder / INDEX))


def _load_index(folder: Path, manifest: Manifest, vectors: NDArray[np.float32]) -> ItemIndex:
    coarser = manifest.index.vectors != "float32"
    stored = _load_stored(folder) if coarser else StoredVectors.keep(vectors, "float32")

    def read(path: Path) -> ItemIndex:
        # Where the index's kind allows it, its lists stay in the file, and are shared between processes.
        index: Any = faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)
        return ItemIndex(stored, index, manifest.index.parameters)

    return parsed(read, folder / INDEX)


def _load_stored(folder: Path) -> StoredVectors:
    numbers = parsed(lambda path: map_vectors(path, tuple(FORMATS)), folder / STORED)
    scale: NDArray[np.float32] = parsed(lambda path: np.load(path, allow_pickle=False), folder / SCALE)
    if scale.dtype != np.float32 or scale.shape != numbers.shape[1:]:
        raise BundleError(
            f"{folder / SCALE}: expected float32 of {numbers.shape[1:]}, got {scale.dtype}, {scale.shape}"
        )
    return StoredVectors(numbers, scale)
