"""Scorers by the words of items: TF-IDF and BM25. They need no events, so they know new items too."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from torch import Tensor

from data_prep.columns import Columns
from data_prep.config import require
from towers.baselines.baseline import DoesNotApply
from towers.baselines.recency import recency_profiles
from towers.events.history import History
from towers.events.training_data import TrainingData
from towers.text.spelling import Spelling
from towers.text.tokenization import singular_of, tokens_of

EVERY_TEXT = "*"
"""Stands for all columns of text."""

MENDED_TOKENS = 32
"""The first tokens of a query, which are mended: that bounds the cost of a hostile query."""


class TfIdf:
    """Scores an item by the cosine of its TF-IDF vector with the query's and those of the history, newest first.

    Args:
        max_words: longest phrase that is a token of its own, words.
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
        self.vectorizer = TfidfVectorizer(
            tokenizer=tokens_of,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, self.max_words),
            sublinear_tf=True,
            dtype=np.float32,
        )
        self.vectors = _vectorize(self.vectorizer, training.texts)  # [N, V], rows of length 1
        return self

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Sum of cosines: [B, N]."""
        query_tokens = sp.csr_array(self.vectorizer.transform(queries))  # [B, V]
        return _products(request_tokens(histories, queries, self.vectors, query_tokens, self.decay), self.vectors)


class BM25Settings(TypedDict):
    """Arguments of `BM25`, as JSON."""

    k1: float
    b: float
    decay: float
    columns: list[str]
    singular: bool
    mend: bool


class BM25:
    """Scores an item's texts by BM25; texts of the history are more of the query, words of newer items weighing more.

    Source: Robertson & Zaragoza, "The probabilistic relevance framework: BM25 and beyond", 2009, eq. 3.15; the idf is
    Lucene's, log(1 + (N - n + .5) / (n + .5)), which never turns negative.

    Args:
        k1: how soon a repeated word is worth no more.
        b: how far long texts are held against themselves, 0…1.
        decay: weight of each event relative to the next newer one.
        columns: of the items table, their texts as one; "*" for every column of text.
        singular: whether English plurals count as their singulars.
        mend: whether a word of a query that no item has is taken for one that differs by one error, or for two.
    """

    def __init__(self, k1: float, b: float, decay: float, columns: Sequence[str], singular: bool, mend: bool) -> None:
        require("k1", k1, 0)
        require("b", b, 0, 1)
        require("decay", decay, 0, 1)
        self.k1, self.b, self.decay, self.columns, self.mend = k1, b, decay, list(columns), mend
        self.singular = singular
        self.name = "bm25, all fields" if EVERY_TEXT in self.columns else "bm25"

    @property
    def settings(self) -> BM25Settings:
        """Arguments of the constructor, as JSON."""
        return {
            "k1": self.k1,
            "b": self.b,
            "decay": self.decay,
            "columns": self.columns,
            "singular": self.singular,
            "mend": self.mend,
        }

    def fit(self, training: TrainingData) -> Self:
        """Weigh the words of the texts.

        Raises:
            DoesNotApply: a column is not there, or the texts hold no words.
        """
        return self.fit_items(training.items)

    def fit_items(self, items: pd.DataFrame) -> Self:
        """Weigh the words of a catalogue's texts; as `fit`, which needs no events."""
        texts = texts_of_columns(items, self.columns)
        vectorizer = CountVectorizer(analyzer=lambda text: folded_tokens(text, self.singular), dtype=np.float32)
        counts = _vectorize(vectorizer, texts)  # [N, V]
        self.rarity = idf(np.bincount(counts.indices, minlength=counts.shape[1]), counts.shape[0])  # [V]
        self.mean_length = float(counts.sum() / counts.shape[0])
        self.words = present(counts)  # [N, V]
        self.weights = self.weighed(counts, self.rarity, self.mean_length)  # [N, V]
        spelling = Spelling(Counter(token for text in texts for token in set(tokens_of(text)))) if self.mend else None
        self.reader = Reader(vectorizer.vocabulary_, self.singular, spelling)
        return self

    def weighed(self, counts: sp.csr_array, rarity: NDArray[np.float64], mean_length: float) -> sp.csr_array:
        """Weight of each word for some texts, [n, V].

        Args:
            counts: occurrences, [n, V].
            rarity: of the words (see `idf`), [V].
            mean_length: words of a text, on average.
        """
        length = np.asarray(counts.sum(axis=1))
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        damping = self.k1 * (1 - self.b + self.b * length[row] / mean_length)
        weights = limits(rarity, self.k1)[counts.indices] * counts.data / (counts.data + damping)
        return sp.csr_array((weights.astype(np.float32), counts.indices, counts.indptr), counts.shape)

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """[B, N]."""
        return _products(request_tokens(histories, queries, self.words, self.reader(queries), self.decay), self.weights)


def idf(have: NDArray[np.number[Any]], texts: int) -> NDArray[np.float64]:
    """Inverse document frequency of words, by how many of some texts have each."""
    return np.asarray(np.log1p((texts - have + 0.5) / (have + 0.5)))


def limits(rarity: NDArray[np.float64], k1: float) -> NDArray[np.float64]:
    """Upper bound of the weight of each of V words, [V]: BM25 tends to it as a text repeats the word.

    Args:
        rarity: of the words (see `idf`), [V].
        k1: as of `BM25`.
    """
    return rarity * (k1 + 1)


def folded_tokens(text: str, singular: bool) -> list[str]:
    """The tokens of a text; English plurals as their singulars where `singular` is set."""
    return [singular_of(token) for token in tokens_of(text)] if singular else tokens_of(text)


@dataclass(frozen=True)
class Reader:
    """Reads queries in the words that items have.

    Attributes:
        places: column of each of V words.
        singular: whether English plurals count as their singulars.
        spelling: mends a word that no item has; None where nothing is mended.
    """

    places: Mapping[str, int]
    singular: bool
    spelling: Spelling | None

    def __call__(self, queries: Sequence[str]) -> sp.csr_array:
        """The words of B queries that items have, each once, as rows of ones, [B, V]; others are passed over."""
        read = (
            (word for i, token in enumerate(tokens_of(query)) for word in self._read(i, token)) for query in queries
        )
        known = [sorted({self.places[word] for word in words if word in self.places}) for words in read]
        users = np.repeat(np.arange(len(known)), [len(columns) for columns in known])
        columns = np.concatenate([np.zeros(0, np.int64), *(np.array(columns, np.int64) for columns in known)])
        return sp.csr_array((np.ones(len(columns), np.float32), (users, columns)), (len(queries), len(self.places)))

    def _read(self, position: int, token: str) -> list[str]:
        """A query's token, the first at position 0, as items have it: one word, or two that were written as one."""
        folded = self._folded(token)
        if folded in self.places or self.spelling is None or position >= MENDED_TOKENS:
            return [folded]
        mended = self.spelling.mended(token)  # not of the folded one: an error at the end hides a plural
        return [self._folded(word) for word in mended]

    def _folded(self, token: str) -> str:
        return singular_of(token) if self.singular else token


def texts_of_columns(items: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The texts of some columns of each item, one after the other.

    With "*" that is every column of text but the item's id, and but the rendered text, whose columns are there anyway.

    Raises:
        DoesNotApply: a column is not there.
    """
    if missing := [name for name in columns if name != EVERY_TEXT and name not in items]:
        raise DoesNotApply(
            f"columns: items have no {', '.join(missing)}; there is {', '.join(map(str, items.columns))}"
        )
    if EVERY_TEXT in columns:
        texts = [str(name) for name in items.columns if pd.api.types.is_string_dtype(items[name])]
        columns = [name for name in texts if name not in (Columns.ITEM_ID, Columns.TEXT)]
    parts = [items[name].fillna("").astype(str) for name in columns]
    return [" ".join(fields) for fields in zip(*parts, strict=True)]


def _vectorize(vectorizer: CountVectorizer, texts: Sequence[str]) -> sp.csr_array:
    try:
        return sp.csr_array(vectorizer.fit_transform(texts))
    except ValueError as error:
        raise DoesNotApply(f"item texts hold no words ({error}); give the source a text template") from None


def present(counts: sp.csr_array) -> sp.csr_array:
    """1 for each word that occurs."""
    return counts.astype(bool).astype(np.float32)


def request_tokens(
    histories: Sequence[History], queries: Sequence[str], items: sp.csr_array, query_tokens: sp.csr_array, decay: float
) -> sp.csr_array:
    """Tokens of a request: the query's, then those of the history, the query counting as the newest event.

    Args:
        histories, queries: as `Scorer.score` takes them.
        items: tokens of every item, [N, V].
        query_tokens: tokens of every query, [B, V].
        decay: weight of each event relative to the next newer one.

    Returns:
        [B, V].
    """
    profiles = recency_profiles(histories, items.shape[0], decay) @ items
    later = np.array([decay if query else 1.0 for query in queries], np.float32)
    return sp.csr_array(sp.diags_array(later) @ profiles + query_tokens)


def _products(queries: sp.csr_array, items: sp.csr_array) -> Tensor:
    """Inner products of token weights, [B, V] and [N, V] -> [B, N]; the few tokens in use are taken densely."""
    used = np.unique(queries.indices)
    dense = queries[:, used].toarray().T  # [tokens in use, B]
    return torch.from_numpy(np.ascontiguousarray((items[:, used] @ dense).T))
