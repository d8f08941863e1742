"""The process: one server or a supervisor with workers, from the first signal taken over to the drain."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.process.lifecycle import StopSignals, drain
    from retrieval_server.process.supervisor import supervise

__all__ = ["StopSignals", "drain", "supervise"]

__getattr__ = lazy_names(
    __name__,
    {
        "StopSignals": "retrieval_server.process.lifecycle",
        "drain": "retrieval_server.process.lifecycle",
        "supervise": "retrieval_server.process.supervisor",
    },
)
