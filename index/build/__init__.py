"""The build: a trained run and its dataset in, item vectors, an index and a published bundle out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
