"""gRPC: services and their answers, TLS, tokens, admission, health, and the server that they make up."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.transport.health import Health
    from retrieval_server.transport.server import RetrievalServer
    from retrieval_server.transport.tokens import AccessTokens

__all__ = ["AccessTokens", "Health", "RetrievalServer"]

__getattr__ = lazy_names(
    __name__,
    {
        "AccessTokens": "retrieval_server.transport.tokens",
        "Health": "retrieval_server.transport.health",
        "RetrievalServer": "retrieval_server.transport.server",
    },
)
