"""Untrained scorers every model has to beat, behind the same interface as the towers."""

from towers.baselines.item_knn import ItemKNN
from towers.baselines.popularity import Popularity
from towers.baselines.text_similarity import TextSimilarity

__all__ = ["ItemKNN", "Popularity", "TextSimilarity"]
