"""Trained towers in, a versioned bundle that proves itself out. This package knows nothing of gRPC.

`python -m index.build` makes a bundle; `Bundle.load` is what a server calls, or `LiveBundle.load` where items
change while it serves. Rooms, each importing only from those
before it: `search`, `bundle`, `live`, `calibration`, `build`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
