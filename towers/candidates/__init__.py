"""Recall: candidates of several channels beside the towers, their fusion, and the funnel made of both."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
