"""All that serving needs, in one object that never changes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self, TypeVar

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.vector_file import map_vectors
from index.bundle.histories import Histories
from index.bundle.item_file import TextColumn, map_items
from index.bundle.manifest import BundleError, Manifest
from index.search.effort import Selection
from index.search.filters import Attributes, Filter
from index.search.item_index import ItemIndex
from index.search.stored_vectors import FORMATS, StoredVectors
from towers import CrossEncoder, Funnel, History, ModelEncoder
from towers.candidates.fallback import FALLBACK, Fallback
from towers.candidates.funnel import FUNNEL, QUERY_FUNNEL
from towers.model.item_encoder import ItemEncoder
from towers.ranking.onnx import load_served

T = TypeVar("T")

SELECTIONS = 8
"""Filters whose rows are remembered: eight bytes for each row that they leave."""

ITEMS = "items.parquet"
MAPPED_ITEMS = "items.arrow"
VECTORS = "vectors.npy"
INDEX = "index.faiss"
STORED = "stored.npy"
SCALE = "stored_scale.npy"
HISTORIES = "histories.parquet"
MODEL = "model"
RERANKER = "reranker"
RENDERED = "texts.arrow"


@dataclass(frozen=True)
class Bundle:
    """A version, loaded. One is held per request from start to end, so a swap is one assignment.

    Attributes:
        version: its name.
        manifest: what it says of itself.
        items: the item table and `popularity`, memory-mapped; row order is index order.
        item_ids: [N] the callers' strings, by row.
        row_of: row of each item id.
        titles, texts: by row, memory-mapped.
        categories: by row, memory-mapped; None where the items have no such column.
        vectors: [N, D] item vectors, memory-mapped; what the user encoder reads. The index may score with coarser ones.
        index: search over them.
        user_encoder: makes a query vector from a history and a query text.
        item_encoder: makes vectors of items that come or change while the bundle serves.
        reranker: reorders candidates, where one was trained.
        histories: what is known of users.
        funnel: channels beside the vectors, and how their candidates are ordered; None where the vectors do it alone.
        query_funnel: the same for whoever asks by a query.
        fallback: what those of whom nothing is known get; None for the towers' own answer.
    """

    version: str
    manifest: Manifest
    items: pd.DataFrame
    item_ids: NDArray[np.object_]
    row_of: Mapping[str, int]
    titles: TextColumn
    texts: TextColumn
    categories: TextColumn | None
    vectors: NDArray[np.float32]
    index: ItemIndex
    user_encoder: ModelEncoder
    item_encoder: ItemEncoder
    reranker: CrossEncoder | None
    histories: Histories
    funnel: Funnel | None
    query_funnel: Funnel | None
    fallback: Fallback | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Check every byte against the manifest, then read.

        Args:
            folder: a version's folder, or the link `current`, which is followed once.

        Raises:
            BundleError: no bundle, or a damaged file; the message has the path and both hashes or sizes.
        """
        folder = folder.resolve()
        manifest = Manifest.read(folder)
        manifest.verify(folder)
        items = _parsed(map_items, folder / MAPPED_ITEMS)
        vectors = _parsed(map_vectors, folder / VECTORS)
        if vectors.shape != (manifest.items, manifest.dim) or len(items) != manifest.items:
            raise BundleError(
                f"{folder}: {len(items):,} items and vectors of shape {vectors.shape}, but the manifest says "
                f"{manifest.items:,} items of dimension {manifest.dim}"
            )
        lacking = {Columns.ITEM_ID, Columns.TITLE, Columns.TEXT} - set(items.columns)
        if lacking:
            raise BundleError(f"{folder / MAPPED_ITEMS} has no column {sorted(lacking)[0]!r}")
        coarser = manifest.index.vectors != "float32"
        stored = _stored(folder) if coarser else StoredVectors.keep(vectors, "float32")
        index = _parsed(lambda path: ItemIndex(stored, _index(path), manifest.index.parameters), folder / INDEX)
        item_ids = items[Columns.ITEM_ID].to_numpy(dtype=object)
        users = ModelEncoder.load(folder / MODEL, vectors)
        reranker = load_served(folder / RERANKER) if (folder / RERANKER).is_dir() else None
        return cls(
            version=manifest.version,
            manifest=manifest,
            items=items,
            item_ids=item_ids,
            row_of=dict(zip(item_ids.tolist(), range(len(item_ids)), strict=True)),
            titles=TextColumn(items[Columns.TITLE]),
            texts=_texts(folder / RERANKER, items, reranker),
            categories=TextColumn(items[Columns.CATEGORY]) if Columns.CATEGORY in items else None,
            vectors=vectors,
            index=index,
            user_encoder=users,
            item_encoder=ItemEncoder.load(folder / MODEL, users, vectors),
            reranker=reranker,
            histories=_parsed(Histories.load, folder / HISTORIES),
            funnel=_funnel(folder / FUNNEL),
            query_funnel=_funnel(folder / QUERY_FUNNEL),
            fallback=_parsed(Fallback.load, folder / FALLBACK) if (folder / FALLBACK).is_dir() else None,
        )

    @property
    def exclude_seen(self) -> bool:
        """Whether items of a history are left out of its answers unless asked for."""
        return self.manifest.exclude_seen

    @cached_property
    def attributes(self) -> Attributes:
        """What filters compare, made when it is first asked for."""
        return Attributes(self.items, self.row_of)

    def allowed(self, wanted: Filter) -> Selection:
        """The rows that a filter leaves, ready for `index.search.item_index`; the last few filters are remembered.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        return self._selections(wanted)

    @cached_property
    def _selections(self) -> Callable[[Filter], Selection]:
        index, attributes = self.index, self.attributes  # not `self`: a bundle that is dropped must go at once
        return lru_cache(SELECTIONS)(lambda wanted: index.allow(attributes.rows(wanted)))

    def history(self, user_id: str) -> History | None:
        """A user's newest events, oldest first; None for somebody the bundle does not know."""
        return self.histories.of(user_id)


def _texts(folder: Path, items: pd.DataFrame, reranker: CrossEncoder | None) -> TextColumn:
    """What the reranker reads of each row: the prepared texts, or those made for it when the bundle was built."""
    if reranker is None or reranker.input_template.template is None:
        return TextColumn(items[Columns.TEXT])
    texts = _parsed(map_items, folder / RENDERED)
    if len(texts) != len(items):
        raise BundleError(f"{folder / RENDERED}: {len(texts):,} texts for {len(items):,} items")
    return TextColumn(texts[Columns.TEXT])


def _funnel(folder: Path) -> Funnel | None:
    return _parsed(Funnel.load, folder) if folder.is_dir() else None


def _index(path: Path) -> Any:
    # Where the index's kind allows it, its lists stay in the file, and are shared between processes.
    return faiss.read_index(os.fspath(path), faiss.IO_FLAG_MMAP_IFC)


def _stored(folder: Path) -> StoredVectors:
    numbers = _parsed(lambda path: map_vectors(path, tuple(FORMATS)), folder / STORED)
    scale: NDArray[np.float32] = _parsed(lambda path: np.load(path, allow_pickle=False), folder / SCALE)
    if scale.dtype != np.float32 or scale.shape != numbers.shape[1:]:
        raise BundleError(
            f"{folder / SCALE}: expected float32 of {numbers.shape[1:]}, got {scale.dtype}, {scale.shape}"
        )
    return StoredVectors(numbers, scale)


def _parsed(read: Callable[[Path], T], path: Path) -> T:
    """Read a file whose hash is right; that it is nonsense all the same is its author's fault."""
    try:
        return read(path)
    except (ValueError, RuntimeError, OSError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
