"""Items whose texts hold the words of the query or of the history: the servable form of BM25.

A score is a share: BM25 over the most that a text could get for these words. It orders as BM25 does; and where
few words of a long query stand in any text, all scores are low, so that in a fused order the towers count for more
there than where an item holds every word of the query.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from towers.baselines.words import BM25, Reader, folded_tokens, idf, limits, request_tokens, texts_of_columns
from towers.candidates.channels.channel import FittedChannel, Saved, UserProfile, registered, widened
from towers.candidates.channels.profiles import known_items
from towers.events.history import History
from towers.events.training_data import TrainingData
from towers.text.spelling import Spelling


@registered
@dataclass(frozen=True)
class WordsProfile(UserProfile):
    """The words that are looked for, V of them; see `towers.baselines.words.terms`.

    Attributes:
        baseline: the settings of `BM25`.
        reader: reads queries.
        items: the words that each item's text holds, [N, V] of ones.
        rarity: inverse document frequency of each word, [V].
        mean_length: words of an item's text, on average.
    """

    kind: ClassVar[str] = "words"

    baseline: Mapping[str, Any]
    reader: Reader
    items: sp.csr_array
    rarity: NDArray[np.float64]
    mean_length: float

    @classmethod
    def of(cls, baseline: BM25) -> Self:
        """As a fitted baseline does."""
        return cls(baseline.settings, baseline.reader, baseline.words, baseline.rarity, baseline.mean_length)

    def profiles(self, histories: Sequence[History], queries: Sequence[str]) -> sp.csr_array:
        """[B, V], so that no text scores more than 1 for a row."""
        known = [known_items(history, self.items.shape[0]) for history in histories]
        sought = request_tokens(known, queries, self.items, self.reader(queries), self.baseline["decay"])
        most = sought @ limits(self.rarity, self.baseline["k1"])  # [B]
        shares = np.divide(1, most, out=np.zeros_like(most), where=most > 0).astype(np.float32)
        return sp.csr_array(sp.diags_array(shares) @ sought)

    def over(self, new_rows: NDArray[np.int64], items: pd.DataFrame, table: sp.csr_array) -> tuple[Self, sp.csr_array]:
        """Fitted anew: texts change, and the words of new items count too."""
        fitted = BM25(**self.baseline).fit_items(items)
        return self.of(fitted), sp.csr_array(fitted.weights.T)

    def grown(self, items: pd.DataFrame, things: int) -> tuple[Self, sp.csr_array]:
        """Words that added items alone have are as rare as one item's; the others weigh what they did."""
        baseline = BM25(**self.baseline)
        held = [Counter(folded_tokens(text, baseline.singular)) for text in texts_of_columns(items, baseline.columns)]
        fresh = sorted({word for words in held for word in words if word not in self.reader.places})
        known, count = len(self.rarity), len(self.rarity) + len(fresh)
        places = {**self.reader.places, **dict(zip(fresh, range(known, count), strict=True))}
        rarity = np.append(self.rarity, idf(np.ones(len(fresh)), self.items.shape[0]))
        rows = np.repeat(np.arange(len(held)), [len(words) for words in held])
        columns = np.array([places[word] for words in held for word in words], np.int64)
        numbers = np.array([number for words in held for number in words.values()], np.float32)
        counts = sp.csr_array((numbers, (rows, columns)), (len(held), count))  # [M, V']
        wider = widened(self.items, count)
        grown = replace(self, reader=replace(self.reader, places=places), items=wider, rarity=rarity)
        return grown, baseline.weighed(counts, rarity, self.mean_length)

    def settings(self) -> dict[str, Any]:
        spelling, places = self.reader.spelling, self.reader.places
        reader = {
            "vocabulary": sorted(places, key=lambda word: places[word]),
            "spelling": None if spelling is None else dict(spelling.counts),
        }
        return super().settings() | {"baseline": dict(self.baseline), "reader": reader}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], arrays: Mapping[str, Saved]) -> Self:
        vocabulary, counts = settings["reader"]["vocabulary"], settings["reader"]["spelling"]
        places = {word: column for column, word in enumerate(vocabulary)}
        spelling = None if counts is None else Spelling(counts)
        reader = Reader(places, settings["baseline"]["singular"], spelling)
        return super().restore({**settings, "reader": reader}, arrays)


class WordMatch:
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
        return FittedChannel(WordsProfile.of(fitted), sp.csr_array(fitted.weights.T))
