"""The second room: prepared tables in, trained towers and a reranker out. Knows nothing of FAISS or gRPC.

Its names are imported when they are first asked for: a command that is wrong is refused before torch is loaded.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.candidates.funnel import Funnel
    from towers.events.history import History
    from towers.model.one_vector import OneVectorModel
    from towers.model.user_side import ModelEncoder
    from towers.ranking.cross_encoder import CrossEncoder
    from towers.ranking.input_template import InputTemplate

__all__ = ["CrossEncoder", "Funnel", "History", "InputTemplate", "ModelEncoder", "OneVectorModel"]

__getattr__ = lazy_names(
    __name__,
    {
        "CrossEncoder": "towers.ranking.cross_encoder",
        "Funnel": "towers.candidates.funnel",
        "History": "towers.events.history",
        "OneVectorModel": "towers.model.one_vector",
        "ModelEncoder": "towers.model.user_side",
        "InputTemplate": "towers.ranking.input_template",
    },
)
