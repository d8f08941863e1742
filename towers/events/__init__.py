"""Events of users, as models read them: histories, interactions in bulk, users' attributes, and a dataset's log."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
