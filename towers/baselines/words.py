"""Scorers by the words of item texts: TF-IDF and BM25. They need no events, so they know new items too."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from torch import Tensor

from towers.baselines.training_data import DoesNotApply, TrainingData
from towers.fitting import require
from towers.history import History
from towers.recency import recency_profiles


class TfIdf:
    """Scores an item by the cosine of its TF-IDF vector with the query's and those of the history, newest first.

    Args:
        max_words: longest phrase that is a term of its own, words.
        decay: weight of each event relative to the next newer one.
    """

    name = "tf-idf"

    def __init__(self, max_words: int, decay: float) -> None:
        require("max_words", max_words, 1)
        require("decay", decay, 0, 1)
        self.max_words, self.decay = max_words, decay

    def fit(self, training: TrainingData) -> Self:
        """Weigh the words of the texts.

        Raises:
            DoesNotApply: the texts hold no words.
        """
        self.vectorizer = TfidfVectorizer(ngram_range=(1, self.max_words), sublinear_tf=True, dtype=np.float32)
        self.vectors = _vectorize(self.vectorizer, training.texts)  # [N, V], rows of length 1
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Sum of cosines: [B, N]."""
        asked = sp.csr_array(self.vectorizer.transform(queries))  # [B, V]
        return _products(_terms(histories, queries, self.vectors, asked, self.decay), self.vectors)


class BM25:
    """Scores an item's text by BM25; texts of the history are more of the query, words of newer items weighing more.

    Source: Robertson & Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009, eq. 3.15; the idf is
    Lucene's, log(1 + (N - n + .5) / (n + .5)), which never turns negative.

    Args:
        k1: how soon a repeated word is worth no more.
        b: how far long texts are held against themselves, 0…1.
        decay: weight of each event relative to the next newer one.
    """

    name = "bm25"

    def __init__(self, k1: float, b: float, decay: float) -> None:
        require("k1", k1, 0)
        require("b", b, 0, 1)
        require("decay", decay, 0, 1)
        self.k1, self.b, self.decay = k1, b, decay

    def fit(self, training: TrainingData) -> Self:
        """Weigh the words of the texts.

        Raises:
            DoesNotApply: the texts hold no words.
        """
        self.vectorizer = CountVectorizer(dtype=np.float32)
        counts = _vectorize(self.vectorizer, training.texts)  # [N, V]
        n, length = counts.shape[0], np.asarray(counts.sum(axis=1))
        have = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log1p((n - have + 0.5) / (have + 0.5))  # [V]
        row = np.repeat(np.arange(n), np.diff(counts.indptr))
        damping = self.k1 * (1 - self.b + self.b * length[row] / length.mean())
        self.words = _present(counts)  # [N, V]
        weights = idf[counts.indices] * counts.data * (self.k1 + 1) / (counts.data + damping)
        self.weights = sp.csr_array((weights.astype(np.float32), counts.indices, counts.indptr), counts.shape)  # [N, V]
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]."""
        asked = _present(sp.csr_array(self.vectorizer.transform(queries)))  # [B, V]
        return _products(_terms(histories, queries, self.words, asked, self.decay), self.weights)


def _vectorize(vectorizer: CountVectorizer, texts: Sequence[str]) -> sp.csr_array:
    try:
        return sp.csr_array(vectorizer.fit_transform(texts))
    except ValueError as error:
        raise DoesNotApply(f"item texts hold no words ({error}); give the source a text template") from None


def _present(counts: sp.csr_array) -> sp.csr_array:
    """1 for each word that occurs."""
    return counts.astype(bool).astype(np.float32)


def _terms(
    histories: Sequence[History], queries: Sequence[str], items: sp.csr_array, asked: sp.csr_array, decay: float
) -> sp.csr_array:
    """What is looked for: the query's terms, then those of the history, the query counting as the newest event.

    Args:
        histories, queries: as `Scorer.score` takes them.
        items: terms of every item, [N, V].
        asked: terms of every query, [B, V].
        decay: weight of each event relative to the next newer one.

    Returns:
        [B, V].
    """
    profiles = recency_profiles(histories, items.shape[0], decay) @ items
    later = np.array([decay if query else 1.0 for query in queries], np.float32)
    return sp.csr_array(sp.diags_array(later) @ profiles + asked)


def _products(queries: sp.csr_array, items: sp.csr_array) -> Tensor:
    """Inner products of term weights, [B, V] and [N, V] -> [B, N]; the few terms in use are taken densely."""
    used = np.unique(queries.indices)
    dense = queries[:, used].toarray().T  # [terms in use, B]
    return torch.from_numpy(np.ascontiguousarray((items[:, used] @ dense).T))
