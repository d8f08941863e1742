from .metrics_endpoint import MetricsEndpoint as MetricsEndpoint
from .observer import Observer as Observer
from .tracing import Tracing as Tracing
