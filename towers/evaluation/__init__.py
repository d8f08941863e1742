"""Evaluation of a run on held-out events: its towers, funnel and cross-encoder beside baselines, and the tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
