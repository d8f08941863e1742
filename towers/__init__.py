"""The second room: prepared tables in, trained towers and a reranker out. Knows nothing of FAISS or gRPC."""

from towers.cross_encoder import CrossEncoder, render_context
from towers.history import History
from towers.run import TrainedTowers
from towers.user_encoder import UserEncoder

__all__ = ["CrossEncoder", "History", "TrainedTowers", "UserEncoder", "render_context"]
