"""Items whose texts hold the query's words, or those of the history: the servable form of BM25."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from towers.baselines.training_data import TrainingData
from towers.baselines.words import BM25, asked_words, terms
from towers.channels.channel import TABLE, FittedChannel, moved
from towers.channels.profiles import known_items
from towers.history import History
from towers.terms import singular_of, terms_of


@dataclass(frozen=True)
class ByWords:
    """The words that are looked for, X of them; see `towers.baselines.words.terms`.

    Attributes:
        vocabulary: the words, [X].
        items: which words each item's text holds, [N, X] of ones.
        decay: weight of each event relative to the next newer one.
        singular: whether English plurals count as their singulars; words of a query are not mended.
    """

    vocabulary: Sequence[str]
    items: sp.csr_array
    decay: float
    singular: bool

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, X]."""
        asked = asked_words([[self._folded(term) for term in terms_of(query)] for query in queries], self._places)
        known = [known_items(history, self.items.shape[0]) for history in histories]
        return terms(known, queries, self.items, asked, self.decay)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.vocabulary)}

    def _folded(self, term: str) -> str:
        return singular_of(term) if self.singular else term

    def over(self, places: NDArray[np.int64], count: int) -> tuple[Self, NDArray[np.int64], int]:
        words = np.arange(len(self.vocabulary))
        items = moved(self.items, places, words, (count, len(words)))
        return type(self)(self.vocabulary, items, self.decay, self.singular), words, len(words)

    def settings(self) -> dict[str, Any]:
        return {"decay": self.decay, "singular": self.singular, "vocabulary": list(self.vocabulary)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {f"words.{name}": getattr(self.items, name) for name in TABLE}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        parts = tuple(arrays[f"words.{name}"] for name in TABLE)
        shape = (len(parts[2]) - 1, len(settings["vocabulary"]))
        return cls(
            settings["vocabulary"],
            sp.csr_array(parts, shape=shape, copy=False),
            settings["decay"],
            settings["singular"],
        )


class Words:
    """BM25 over item texts.

    Args:
        baseline: the arithmetic, with its settings.
    """

    def __init__(self, baseline: BM25) -> None:
        self.baseline = baseline

    def fit(self, training: TrainingData) -> FittedChannel:
        """Weigh the words of the texts.

        Raises:
            DoesNotApply: the texts hold no words.
        """
        fitted = self.baseline.fit(training)
        vocabulary = sorted(fitted.places, key=lambda word: fitted.places[word])
        profiling = ByWords(vocabulary, fitted.words, fitted.decay, fitted.singular)
        return FittedChannel(profiling, sp.csr_array(fitted.weights.T))
