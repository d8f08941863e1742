"""How well a scorer ranks: exact ranking metrics over the whole catalogue, cases, judgements, and their intervals."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
