"""Texts of items and queries: sentence encoders and their cache, whitening, tokens, spelling, and synthetic queries."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
