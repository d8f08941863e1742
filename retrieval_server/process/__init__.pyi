from .lifecycle import StopSignals as StopSignals
from .lifecycle import drain as drain
from .supervisor import supervise as supervise
