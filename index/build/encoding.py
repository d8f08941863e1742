"""Item vectors of a whole catalogue, made piece by piece into a file.

So memory is bounded whatever the catalogue's size, and an interruption costs seconds.
"""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.files import read_json, sync, write_json
from data_prep.progress import track
from data_prep.vector_file import append_vectors, begin_vectors, map_vectors
from index.build.gates import check_vectors
from towers.model import ITEMS_AT_ONCE

log = logging.getLogger(__name__)

WORKING = ".encoding-"
"""Prefix of the names of working folders, in the folder of bundles; a fingerprint of their contents follows."""

SYNC_SECONDS = 10.0
"""Between two moments at which vectors are known to be on disk: the cost of an interruption, and one piece."""

VECTORS, PROGRESS = "vectors.npy", "progress.json"


@dataclass(frozen=True)
class Reuse:
    """Vectors that need not be computed.

    Attributes:
        vectors: [M, D] of an earlier catalogue, by the same model; may be memory-mapped.
        rows: for each item of this one the row there, [N]; -1 where it must be computed.
    """

    vectors: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class EncodedItems:
    """Item vectors and how they came about.

    Attributes:
        vectors: [N, D], memory-mapped.
        computed, reused, resumed: items encoded now, taken from an earlier bundle, or from the file of an interrupted
            build.
    """

    vectors: NDArray[np.float32]
    computed: int
    reused: int
    resumed: int


def encode_catalogue(
    encode: Callable[[pd.DataFrame], NDArray[np.float32]],
    items: pd.DataFrame,
    dim: int,
    bundles: Path,
    key: str,
    reuse: Reuse | None,
) -> EncodedItems:
    """Encode a catalogue into a file that a later build with the same key goes on with, if this one is interrupted.

    Args:
        encode: makes vectors of items, n rows -> [n, dim].
        items: canonical items table, N rows.
        dim: length of a vector.
        bundles: where the working folder is made.
        key: stands for model and items: equal keys, equal vectors.
        reuse: vectors that need not be computed.

    Raises:
        GateFailed: a vector that is not finite, or of another length.
    """
    folder = bundles / f"{WORKING}{key}"
    clear_working(bundles, but=folder)
    folder.mkdir(exist_ok=True)
    path, progress = folder / VECTORS, folder / PROGRESS
    done = read_json(progress)["rows"] if progress.exists() and path.exists() else 0
    if done:
        log.info(
            "going on after %s of %s items, which an interrupted build has encoded", f"{done:,}", f"{len(items):,}"
        )
    else:
        begin_vectors(path, len(items), dim)
    computed, due = 0, time.monotonic() + SYNC_SECONDS
    for start in track(range(done, len(items), ITEMS_AT_ONCE), "Encoding items"):
        some = items.iloc[start : start + ITEMS_AT_ONCE]
        rows = np.full(len(some), -1) if reuse is None else reuse.rows[start : start + len(some)]
        vectors, new = _piece(encode, some, dim, rows, reuse)
        check_vectors(vectors, some, dim)
        append_vectors(path, vectors, start)
        computed += new
        if time.monotonic() >= due or start + len(some) == len(items):
            sync(path)
            write_json(progress, {"rows": start + len(some)})
            due = time.monotonic() + SYNC_SECONDS
    return EncodedItems(map_vectors(path), computed, len(items) - done - computed, done)


def clear_working(bundles: Path, but: Path | None = None) -> None:
    """Remove the working folders of builds, finished or given up.

    Args:
        bundles: the folder of bundles, in which no other build is at work.
        but: one that stays.
    """
    for folder in bundles.glob(f"{WORKING}*"):
        if folder != but:
            shutil.rmtree(folder)


def _piece(
    encode: Callable[[pd.DataFrame], NDArray[np.float32]],
    items: pd.DataFrame,
    dim: int,
    rows: NDArray[np.int64],
    reuse: Reuse | None,
) -> tuple[NDArray[np.float32], int]:
    """Vectors of some items, and how many of them were computed."""
    new = rows < 0
    if reuse is None or new.all():
        return np.ascontiguousarray(encode(items), np.float32), len(items)
    vectors = np.empty((len(items), dim), np.float32)
    vectors[~new] = reuse.vectors[rows[~new]]
    if new.any():
        vectors[new] = encode(items[new])
    return vectors, int(new.sum())
