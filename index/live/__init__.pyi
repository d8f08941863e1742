from .live_bundle import LiveBundle as LiveBundle
from .live_index import LiveIndex as LiveIndex
from .live_view import LiveView as LiveView
