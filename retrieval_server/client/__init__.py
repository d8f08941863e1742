"""The client: a class for threads and one for asyncio, and the command `python -m retrieval_server.client`."""

from retrieval_server.client.async_client import AsyncRetrievalClient
from retrieval_server.client.channel import Security
from retrieval_server.client.errors import RetrievalError
from retrieval_server.client.retrieval_client import RetrievalClient

__all__ = ["AsyncRetrievalClient", "RetrievalClient", "RetrievalError", "Security"]
