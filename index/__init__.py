"""Trained towers in, a versioned bundle that proves itself out. This package knows nothing of gRPC.

`python -m index.build` makes a bundle; `Bundle.load` is what a server calls, or `LiveBundle.load` where items
change while it serves. Rooms, each importing only from those
before it: `search`, `bundle`, `live`, `calibration`, `build`.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.bundle.bundle import Bundle
    from index.bundle.item_table import UnfitItems
    from index.bundle.manifest import BundleError, Manifest
    from index.bundle.parts import ItemSearch, Scoring, UserEncoding
    from index.bundle.publication import current_bundle
    from index.bundle.view import BundleView
    from index.live.live_bundle import LiveBundle
    from index.live.live_index import LiveIndex
    from index.live.live_view import LiveView
    from index.search.effort import SearchParameters, Selection
    from index.search.exact import Hits, exact_scores
    from index.search.filters import Filter, UnfitColumn
    from index.search.item_index import ItemIndex

__all__ = [
    "Bundle",
    "BundleError",
    "BundleView",
    "Filter",
    "Hits",
    "ItemIndex",
    "ItemSearch",
    "LiveBundle",
    "LiveIndex",
    "LiveView",
    "Manifest",
    "Scoring",
    "SearchParameters",
    "Selection",
    "UnfitColumn",
    "UnfitItems",
    "UserEncoding",
    "current_bundle",
    "exact_scores",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Bundle": "index.bundle.bundle",
        "BundleError": "index.bundle.manifest",
        "BundleView": "index.bundle.view",
        "Filter": "index.search.filters",
        "Hits": "index.search.exact",
        "ItemIndex": "index.search.item_index",
        "ItemSearch": "index.bundle.parts",
        "LiveBundle": "index.live.live_bundle",
        "LiveIndex": "index.live.live_index",
        "LiveView": "index.live.live_view",
        "Manifest": "index.bundle.manifest",
        "Scoring": "index.bundle.parts",
        "SearchParameters": "index.search.effort",
        "Selection": "index.search.effort",
        "UnfitColumn": "index.search.filters",
        "UnfitItems": "index.bundle.item_table",
        "UserEncoding": "index.bundle.parts",
        "current_bundle": "index.bundle.publication",
        "exact_scores": "index.search.exact",
    },
)
