"""Trained towers in, a versioned bundle that proves itself out. This room knows nothing of gRPC.

`python -m index.build` makes a bundle; `Bundle.load` is what a server calls, or `LiveBundle.load`
where items change while it serves.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.bundle.bundle import Bundle
    from index.bundle.item_table import UnfitItems
    from index.bundle.manifest import BundleError, Manifest
    from index.bundle.publication import current_bundle
    from index.live.live_bundle import LiveBundle
    from index.live.live_index import LiveIndex
    from index.live.live_view import LiveView
    from index.search.effort import Selection
    from index.search.exact import Hits, exact_scores
    from index.search.filters import Filter, UnfitColumn
    from index.search.item_index import ItemIndex, SearchParameters

__all__ = [
    "Bundle",
    "BundleError",
    "Filter",
    "Hits",
    "ItemIndex",
    "LiveBundle",
    "LiveIndex",
    "LiveView",
    "Manifest",
    "SearchParameters",
    "Selection",
    "UnfitColumn",
    "UnfitItems",
    "current_bundle",
    "exact_scores",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Bundle": "index.bundle.bundle",
        "BundleError": "index.bundle.manifest",
        "Filter": "index.search.filters",
        "Hits": "index.search.exact",
        "ItemIndex": "index.search.item_index",
        "LiveBundle": "index.live.live_bundle",
        "LiveIndex": "index.live.live_index",
        "LiveView": "index.live.live_view",
        "Manifest": "index.bundle.manifest",
        "SearchParameters": "index.search.item_index",
        "Selection": "index.search.effort",
        "UnfitColumn": "index.search.filters",
        "UnfitItems": "index.bundle.item_table",
        "current_bundle": "index.bundle.publication",
        "exact_scores": "index.search.exact",
    },
)
