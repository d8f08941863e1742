"""The second stage: a text cross-encoder, its ranking examples, losses and training, and its ONNX graphs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
