"""The stages of a request: recall, rerank, diversity, explanation, and the fallback where nothing is known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
