"""Sweeps and tuning of settings: the space, the trials and their study, and the tables and plots of both."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
