"""The bundle: its parts, its files and their manifest, loading, publication, and the log of changes beside it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
