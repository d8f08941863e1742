"""The bundle being served: as a request sees it, swapped for another version, and with items that change."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
