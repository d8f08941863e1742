"""Trained towers in, a versioned bundle that proves itself out. This room knows nothing of gRPC.

`python -m index.build` makes a bundle; `Bundle.load` is what a server calls, or `LiveBundle.load`
where items change while it serves.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.bundle import Bundle
    from index.effort import Selection
    from index.exact import Hits, exact_scores
    from index.filters import Filter, UnfitColumn
    from index.item_table import UnfitItems
    from index.live import LiveBundle
    from index.live_index import LiveIndex
    from index.live_view import LiveView
    from index.manifest import BundleError, Manifest
    from index.publish import current_bundle
    from index.search import ItemIndex, SearchParameters

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
        "Bundle": "index.bundle",
        "BundleError": "index.manifest",
        "Filter": "index.filters",
        "Hits": "index.exact",
        "ItemIndex": "index.search",
        "LiveBundle": "index.live",
        "LiveIndex": "index.live_index",
        "LiveView": "index.live_view",
        "Manifest": "index.manifest",
        "SearchParameters": "index.search",
        "Selection": "index.effort",
        "UnfitColumn": "index.filters",
        "UnfitItems": "index.item_table",
        "current_bundle": "index.publish",
        "exact_scores": "index.exact",
    },
)
