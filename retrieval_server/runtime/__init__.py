"""The process under a server: its threads and cores, its memory, the lines of its log."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.runtime.escaping import escape, log_one_line_each
    from retrieval_server.runtime.threads import limit_process, on_core

__all__ = ["escape", "limit_process", "log_one_line_each", "on_core"]

__getattr__ = lazy_names(
    __name__,
    {
        "escape": "retrieval_server.runtime.escaping",
        "limit_process": "retrieval_server.runtime.threads",
        "log_one_line_each": "retrieval_server.runtime.escaping",
        "on_core": "retrieval_server.runtime.threads",
    },
)
