"""Choice and calibration of an index: how hard it has to search to reach an index recall, and which is cheapest."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
