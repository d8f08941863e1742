"""A bundle in, gRPC answers out. This room trains nothing.

`python -m retrieval_server` serves a bundle; `RetrievalClient`, or `python -m retrieval_server.client`, asks it. The
contract between the two is `retrieval/v1/retrieval.proto`, told in `docs/api.md`.

Importing this package loads neither models nor FAISS, so that a client stays light.
"""

from retrieval_server.client import AsyncRetrievalClient, RetrievalClient, RetrievalError, Security

__all__ = ["AsyncRetrievalClient", "RetrievalClient", "RetrievalError", "Security"]
