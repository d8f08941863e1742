"""Events of users since the bundle was built: the durable log, and the stores that give the recent ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
