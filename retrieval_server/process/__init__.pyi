from .lifecycle import StopSignals as StopSignals, drain as drain
from .supervisor import supervise as supervise
