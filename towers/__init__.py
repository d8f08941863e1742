"""The second room: prepared tables in, trained towers and a reranker out. Knows nothing of FAISS or gRPC."""

from towers.cross_encoder import CrossEncoder
from towers.funnel import Funnel
from towers.history import History
from towers.model import Model
from towers.model_encoder import ModelEncoder
from towers.rendering import Rendering

__all__ = ["CrossEncoder", "Funnel", "History", "Model", "ModelEncoder", "Rendering"]
