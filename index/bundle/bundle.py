"""A version, loaded: all that serving needs, in one object that never changes."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Self

import pandas as pd

from data_prep.columns import Columns
from index.bundle.item_file import TextColumn, map_items
from index.bundle.manifest import BundleError, Manifest
from index.bundle.parts import CROSS_ENCODER, SHOWN_TEXTS, BundleParts, parsed
from index.bundle.view import BundleView
from index.search.effort import Selection
from index.search.filters import Attributes, Filter
from index.search.item_index import ItemIndex

SELECTIONS = 8
"""Filters whose rows are remembered: eight bytes for each row that they leave."""


@dataclass(frozen=True, kw_only=True)
class Bundle(BundleParts, BundleView):
    """A version, loaded. A request holds one from start to end, so a swap is one assignment.

    Attributes:
        manifest: its manifest.
    """

    manifest: Manifest

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
        parts = BundleParts.read(folder, manifest)
        items = parts.items
        item_ids = items[Columns.ITEM_ID].to_numpy(dtype=object)
        row_of = dict(zip(item_ids.tolist(), range(len(item_ids)), strict=True))
        return cls(
            **{field.name: getattr(parts, field.name) for field in fields(parts)},
            manifest=manifest,
            version=manifest.version,
            exclude_seen=manifest.exclude_seen,
            row_of=row_of,
            item_ids=item_ids,
            titles=TextColumn(items[Columns.TITLE]),
            texts=_texts(folder, parts),
            categories=TextColumn(items[Columns.CATEGORY]) if Columns.CATEGORY in items else None,
            allowed=narrowing(parts.index, Attributes(items, row_of)),
            history=parts.histories.of,
        )


def narrowing(index: ItemIndex, attributes: Attributes) -> Callable[[Filter], Selection]:
    """A function that makes filters on attributes ready for an index; it remembers the last few filters."""
    return lru_cache(SELECTIONS)(lambda condition: index.allow(attributes.rows(condition)))


def _texts(folder: Path, parts: BundleParts) -> TextColumn:
    """The text of each row as the cross-encoder is shown it: the prepared one, or one made for it by the build."""
    if parts.cross_encoder is None or parts.cross_encoder.input_template.template is None:
        return TextColumn(parts.items[Columns.TEXT])
    path = folder / CROSS_ENCODER / SHOWN_TEXTS
    texts: pd.DataFrame = parsed(map_items, path)
    if len(texts) != len(parts.items):
        raise BundleError(f"{path}: {len(texts):,} texts for {len(parts.items):,} items")
    return TextColumn(texts[Columns.TEXT])
