"""Observation of calls: metrics for Prometheus, a line in the log for each call, traces by OpenTelemetry."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
