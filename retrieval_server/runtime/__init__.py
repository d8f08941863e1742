"""The process under a server: its threads and cores, its memory, the lines of its log."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
