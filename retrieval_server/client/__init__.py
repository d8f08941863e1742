"""The client: a small class, and a command line on top of it (`python -m retrieval_server.client`)."""

from retrieval_server.client.channel import Security
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.retrieval_client import RetrievalClient

__all__ = ["RetrievalClient", "RetrievalError", "Security"]
