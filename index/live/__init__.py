"""A bundle whose items are put in, changed and taken out while it serves."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
