"""Scorers every model has to beat, behind the same interface as the towers; they are counted, not trained."""

from towers.baselines.baseline import Baseline, DoesNotApply
from towers.baselines.baseline_mix import BaselineMix
from towers.baselines.cooccurrence import Cooccurrence
from towers.baselines.ease import Ease
from towers.baselines.fitted import fit_each, fitted_baselines
from towers.baselines.ials import IALS
from towers.baselines.knn import ItemKNN, UserKNN
from towers.baselines.markov import Markov
from towers.baselines.popularity import DecayedPopularity, Popularity, Trending
from towers.baselines.similarity import Cosine, Pearson
from towers.baselines.text_similarity import TextSimilarity
from towers.baselines.words import BM25, TfIdf
from towers.events.training_data import TrainingData

__all__ = [
    "BM25",
    "IALS",
    "Baseline",
    "BaselineMix",
    "Cooccurrence",
    "Cosine",
    "DecayedPopularity",
    "DoesNotApply",
    "Ease",
    "ItemKNN",
    "Markov",
    "Pearson",
    "Popularity",
    "TextSimilarity",
    "TfIdf",
    "TrainingData",
    "Trending",
    "UserKNN",
    "fit_each",
    "fitted_baselines",
]
