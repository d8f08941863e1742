"""The server: a bundle in, gRPC answers out, and users' events into the logs. It trains nothing.

`python -m retrieval_server` serves a bundle; `RetrievalClient`, or `python -m retrieval_server.client`, calls it. The
contract between the two is `retrieval/v1/retrieval.proto`, explained in `docs/api.md`.

Rooms, in import order: `runtime` (threads, memory and log lines of a process), `client`, `api` (requests checked
against limits, errors, time budgets), `telemetry` (metrics, the log's lines, traces), `bundles` (the bundle being
served: swaps, changing items), `events` (users' events: log and stores), `pipeline` (recall, rerank, diversity,
fallback), `transport` (gRPC: services, TLS, tokens, admission, health), `process` (one process or several, from start
to drain).

Importing this package loads neither models nor FAISS, so that a client stays light.
"""

from retrieval_server.client import AsyncRetrievalClient, RetrievalClient, RetrievalError, Security

__all__ = ["AsyncRetrievalClient", "RetrievalClient", "RetrievalError", "Security"]
