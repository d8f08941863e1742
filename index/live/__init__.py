"""A bundle whose items are put in, changed and taken out while it serves."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.live.live_bundle import LiveBundle
    from index.live.live_index import LiveIndex
    from index.live.live_view import LiveView

__all__ = ["LiveBundle", "LiveIndex", "LiveView"]

__getattr__ = lazy_names(
    __name__,
    {
        "LiveBundle": "index.live.live_bundle",
        "LiveIndex": "index.live.live_index",
        "LiveView": "index.live.live_view",
    },
)
