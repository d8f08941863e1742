"""Gates that items and vectors must pass before anything is built from them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.columns import Columns
from data_prep.command import GateFailed

NAMED = 20
"""Offending ids that a message names."""


def check_items(items: pd.DataFrame) -> None:
    """Refuse an item table that cannot be served.

    Raises:
        GateFailed: no items, duplicate or missing ids, or items without text; the first 20 are named.
    """
    if items.empty:
        raise GateFailed("the catalogue holds no items; there is nothing to index")
    ids = items[Columns.ITEM_ID]
    _refuse(items, (ids.isna() | (ids.astype("string") == "")).to_numpy(dtype=bool), "have no item_id")
    _refuse(items, ids.duplicated(keep=False).to_numpy(dtype=bool), "share their item_id with another")
    text = items[Columns.TEXT].astype("string").fillna("").str.strip()
    _refuse(items, (text == "").to_numpy(dtype=bool), "have no text")


def check_vectors(vectors: NDArray[np.float32], items: pd.DataFrame, dim: int) -> None:
    """Refuse vectors that are not one finite vector of the towers' dimension for each item.

    Raises:
        GateFailed: another shape, or NaN or infinity; the first 20 items concerned are named.
    """
    expected = (len(items), dim)
    if vectors.shape != expected:
        raise GateFailed(f"item vectors: expected shape {expected}, got {vectors.shape}")
    _refuse(items, np.logical_not(np.isfinite(vectors).all(axis=1)), "have a vector with NaN or infinity")


def _refuse(items: pd.DataFrame, wrong: NDArray[np.bool_], fault: str) -> None:
    if not wrong.any():
        return
    ids: list[Any] = items.loc[wrong, Columns.ITEM_ID].drop_duplicates().tolist()
    raise GateFailed(
        f"{int(wrong.sum()):,} of {len(items):,} items {fault}: {', '.join(map(str, ids[:NAMED]))}"
        f"{', …' if len(ids) > NAMED else ''}; prepare the data again without them"
    )
