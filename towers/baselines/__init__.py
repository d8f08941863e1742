"""Scorers that every model has to beat, behind the same interface as the towers; they are counted, not trained."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
