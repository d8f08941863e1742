"""Neural modules: the item tower with its features and words, the user tower with its layers, and their ONNX graphs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
