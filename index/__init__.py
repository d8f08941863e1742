"""Trained towers in, a versioned bundle that proves itself out. This room knows nothing of gRPC.

`python -m index.build` makes a bundle; `Bundle.load` is what a server calls, or `LiveBundle.load`
where items change while it serves.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.bundle import Bundle
    from index.effort import Selection
    from index.exact import Hits, exact_scores
    from index.filters import Filter, UnfitColumn
    from index.item_table import UnfitItems
    from index.live import LiveBundle, LiveView
    from index.live_index import LiveIndex
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

_HOMES = {
    "Bundle": "index.bundle",
    "BundleError": "index.manifest",
    "Filter": "index.filters",
    "Hits": "index.exact",
    "ItemIndex": "index.search",
    "LiveBundle": "index.live",
    "LiveIndex": "index.live_index",
    "LiveView": "index.live",
    "Manifest": "index.manifest",
    "SearchParameters": "index.search",
    "Selection": "index.effort",
    "UnfitColumn": "index.filters",
    "UnfitItems": "index.item_table",
    "current_bundle": "index.publish",
    "exact_scores": "index.exact",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `index.build` refuses wrong inputs before torch loads."""
    if name not in _HOMES:
        raise AttributeError(f"module 'index' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
