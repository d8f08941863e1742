"""The process: one server or a supervisor with workers, from the first signal taken over to the drain."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
