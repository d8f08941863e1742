"""The bundle: its parts, its files and their manifest, loading, publication, and the log of changes beside it."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.bundle.bundle import Bundle
    from index.bundle.change_log import ChangeLog
    from index.bundle.histories import Histories
    from index.bundle.item_table import UnfitItems
    from index.bundle.manifest import BundleError, Manifest
    from index.bundle.parts import CROSS_ENCODER, HISTORIES, ITEMS, BundleParts, ItemSearch, Scoring, UserEncoding
    from index.bundle.publication import building, current_bundle, new_bundle, switch_current
    from index.bundle.view import BundleView

__all__ = [
    "CROSS_ENCODER",
    "HISTORIES",
    "ITEMS",
    "Bundle",
    "BundleError",
    "BundleParts",
    "BundleView",
    "ChangeLog",
    "Histories",
    "ItemSearch",
    "Manifest",
    "Scoring",
    "UnfitItems",
    "UserEncoding",
    "building",
    "current_bundle",
    "new_bundle",
    "switch_current",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CROSS_ENCODER": "index.bundle.parts",
        "HISTORIES": "index.bundle.parts",
        "ITEMS": "index.bundle.parts",
        "Bundle": "index.bundle.bundle",
        "BundleError": "index.bundle.manifest",
        "BundleParts": "index.bundle.parts",
        "BundleView": "index.bundle.view",
        "ChangeLog": "index.bundle.change_log",
        "Histories": "index.bundle.histories",
        "ItemSearch": "index.bundle.parts",
        "Manifest": "index.bundle.manifest",
        "Scoring": "index.bundle.parts",
        "UnfitItems": "index.bundle.item_table",
        "UserEncoding": "index.bundle.parts",
        "building": "index.bundle.publication",
        "current_bundle": "index.bundle.publication",
        "new_bundle": "index.bundle.publication",
        "switch_current": "index.bundle.publication",
    },
)
