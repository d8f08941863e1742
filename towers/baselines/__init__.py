"""Scorers that every model has to beat, behind the same interface as the towers; they are counted, not trained."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.baselines.baseline import Baseline, DoesNotApply
    from towers.baselines.baseline_mix import BaselineMix
    from towers.baselines.cooccurrence import Cooccurrence, PairWeights
    from towers.baselines.ease import Ease
    from towers.baselines.fitted import fit_each, fitted_baselines
    from towers.baselines.ials import IALS
    from towers.baselines.knn import ItemKNN, UserKNN
    from towers.baselines.late_fusion import Mix, choose_weights
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
    "Mix",
    "PairWeights",
    "Pearson",
    "Popularity",
    "TextSimilarity",
    "TfIdf",
    "TrainingData",
    "Trending",
    "UserKNN",
    "choose_weights",
    "fit_each",
    "fitted_baselines",
]

__getattr__ = lazy_names(
    __name__,
    {
        "choose_weights": "towers.baselines.late_fusion",
        "Mix": "towers.baselines.late_fusion",
        "BM25": "towers.baselines.words",
        "Baseline": "towers.baselines.baseline",
        "BaselineMix": "towers.baselines.baseline_mix",
        "Cooccurrence": "towers.baselines.cooccurrence",
        "Cosine": "towers.baselines.similarity",
        "DecayedPopularity": "towers.baselines.popularity",
        "DoesNotApply": "towers.baselines.baseline",
        "Ease": "towers.baselines.ease",
        "IALS": "towers.baselines.ials",
        "ItemKNN": "towers.baselines.knn",
        "Markov": "towers.baselines.markov",
        "PairWeights": "towers.baselines.cooccurrence",
        "Pearson": "towers.baselines.similarity",
        "Popularity": "towers.baselines.popularity",
        "TextSimilarity": "towers.baselines.text_similarity",
        "TfIdf": "towers.baselines.words",
        "TrainingData": "towers.events.training_data",
        "Trending": "towers.baselines.popularity",
        "UserKNN": "towers.baselines.knn",
        "fit_each": "towers.baselines.fitted",
        "fitted_baselines": "towers.baselines.fitted",
    },
)
