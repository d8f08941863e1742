"""The second room: prepared tables in, trained towers and a reranker out. Knows nothing of FAISS or gRPC.

Its names are imported when they are first asked for: a command that is wrong is refused before torch is loaded.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.cross_encoder import CrossEncoder
    from towers.funnel import Funnel
    from towers.history import History
    from towers.model import Model
    from towers.model_encoder import ModelEncoder
    from towers.rendering import Rendering

__all__ = ["CrossEncoder", "Funnel", "History", "Model", "ModelEncoder", "Rendering"]

__getattr__ = lazy_names(
    __name__,
    {
        "CrossEncoder": "towers.cross_encoder",
        "Funnel": "towers.funnel",
        "History": "towers.history",
        "Model": "towers.model",
        "ModelEncoder": "towers.model_encoder",
        "Rendering": "towers.rendering",
    },
)
