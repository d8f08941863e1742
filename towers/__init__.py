"""The second room: prepared tables in, trained towers and a reranker out. Knows nothing of FAISS or gRPC.

Its names are imported when they are first asked for: a command that is wrong is refused before torch is loaded.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
