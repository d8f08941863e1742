"""Requests and errors: validation against the limits, the requester, the time budget, the statuses of calls."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.api.budget import Budget
    from retrieval_server.api.errors import CallError, InvalidRequest
    from retrieval_server.api.limits import Limits
    from retrieval_server.api.requester import Requester

__all__ = ["Budget", "CallError", "InvalidRequest", "Limits", "Requester"]

__getattr__ = lazy_names(
    __name__,
    {
        "Budget": "retrieval_server.api.budget",
        "CallError": "retrieval_server.api.errors",
        "InvalidRequest": "retrieval_server.api.errors",
        "Limits": "retrieval_server.api.limits",
        "Requester": "retrieval_server.api.requester",
    },
)
