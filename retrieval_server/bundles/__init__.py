"""The bundle being served: as a request sees it, swapped for another version, and with items that change."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.bundles.live_items import LiveItems
    from retrieval_server.bundles.served_bundle import BundleSlot, ServedBundle
    from retrieval_server.bundles.swapping import Swapper

__all__ = ["BundleSlot", "LiveItems", "ServedBundle", "Swapper"]

__getattr__ = lazy_names(
    __name__,
    {
        "BundleSlot": "retrieval_server.bundles.served_bundle",
        "LiveItems": "retrieval_server.bundles.live_items",
        "ServedBundle": "retrieval_server.bundles.served_bundle",
        "Swapper": "retrieval_server.bundles.swapping",
    },
)
