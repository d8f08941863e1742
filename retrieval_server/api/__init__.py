"""Requests and errors: validation against the limits, the requester, the time budget, the statuses of calls."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
