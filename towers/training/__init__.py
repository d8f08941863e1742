"""Training of the towers: the training set, its batches, the retriever that learns from them, the blocks' weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
