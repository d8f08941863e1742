from .baseline import Baseline as Baseline, DoesNotApply as DoesNotApply
from .baseline_mix import BaselineMix as BaselineMix
from .cooccurrence import Cooccurrence as Cooccurrence, PairWeights as PairWeights
from .ease import Ease as Ease
from .fitted import fit_each as fit_each, fitted_baselines as fitted_baselines
from .ials import IALS as IALS
from .knn import ItemKNN as ItemKNN, UserKNN as UserKNN
from .late_fusion import Mix as Mix, choose_weights as choose_weights
from .markov import Markov as Markov
from .popularity import DecayedPopularity as DecayedPopularity, Popularity as Popularity, Trending as Trending
from .similarity import Cosine as Cosine, Pearson as Pearson
from .text_similarity import TextSimilarity as TextSimilarity
from .words import BM25 as BM25, TfIdf as TfIdf
