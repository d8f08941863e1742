"""The model of a run: its typed record, the trained towers, and the one vector that an index is built from."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
