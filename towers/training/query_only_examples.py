"""Query-only examples: queries without a history to learn from, judged ones and such as are derived from items."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from towers.metrics.judgements import Judgements
from towers.modules.tokens import PADDING


@dataclass(frozen=True)
class QueryOnlyExamples:
    """A queries without a history, each with an item that answers it.

    Attributes:
        texts: row of each query's text, [A].
        rows: the item, [A].
        weights: of each in the loss, [A].
        groups: queries of the same text have the same number, [A].
        answers: every item that answers a query of a group, as pairs sorted by group, [K, 2] of group and item.
    """

    texts: NDArray[np.int64]
    rows: NDArray[np.int64]
    weights: NDArray[np.float32]
    groups: NDArray[np.int64]
    answers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    def known(self, groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """All answers of each group, [n] -> n arrays: none of them is a negative."""
        first = np.searchsorted(self.answers[:, 0], groups, side="left")
        last = np.searchsorted(self.answers[:, 0], groups, side="right")
        return [self.answers[start:end, 1] for start, end in zip(first, last, strict=True)]


@dataclass(frozen=True)
class QueryOnlyPlan:
    """The query-only examples of any epoch.

    Attributes:
        judged_texts: row of the query of each judged pair that gains something, [J].
        judged_rows: its item, [J].
        judged_weights: its gain, 2^grade - 1, over the best one's, [J].
        rate: how often an epoch sees each of them; of a fraction as many as it says, at random.
        derived: rows of the texts derived from each item, [N, V], PADDING for none.
        alone: share of the items that answer a derived text alone, at random.
        groups: number of the text in each row of the text table; equal texts have equal numbers.
    """

    judged_texts: NDArray[np.int64]
    judged_rows: NDArray[np.int64]
    judged_weights: NDArray[np.float32]
    rate: float
    derived: NDArray[np.int64]
    alone: float
    groups: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        judgements: Judgements | None,
        first_row: int,
        rate: float,
        derived: NDArray[np.int64],
        alone: float,
        texts: list[str],
    ) -> "QueryOnlyPlan":
        """Plan for a catalogue.

        Args:
            judgements: those to learn from; their queries stand at rows `first_row`… of the text table.
            first_row, rate, derived, alone: see above.
            texts: the text table.
        """
        groups, _ = pd.factorize(pd.Series(texts, dtype=object))
        query, row, grade = (part.numpy() for part in judgements.pairs) if judgements else [np.zeros(0, np.int64)] * 3
        gain = 2.0**grade - 1
        kept = gain > 0
        weights = (gain[kept] / gain.max(initial=1.0)).astype(np.float32)
        codes = np.asarray(groups, np.int64)
        return cls(query[kept] + first_row, row[kept], weights, rate, derived, alone, codes)

    @property
    def empty(self) -> bool:
        """Whether no epoch holds any example."""
        nothing_judged = self.rate == 0 or not len(self.judged_texts)
        return nothing_judged and not self._number_alone

    @property
    def _derivable(self) -> NDArray[np.int64]:
        return np.flatnonzero((self.derived != PADDING).any(axis=1))

    @property
    def _number_alone(self) -> int:
        return round(self.alone * len(self._derivable)) if self.alone else 0

    def target_counts(self) -> NDArray[np.float64]:
        """How often each item is expected to be a target in an epoch, [N]."""
        counts = self.rate * np.bincount(self.judged_rows, minlength=len(self.derived)).astype(np.float64)
        if number := self._number_alone:
            counts[self._derivable] += number / len(self._derivable)
        return counts

    def draw(self, rng: np.random.Generator) -> QueryOnlyExamples:
        """The examples of an epoch, in random order."""
        whole, fraction = divmod(self.rate, 1)
        pairs = np.arange(len(self.judged_texts))
        some = rng.permutation(pairs)[: round(fraction * len(pairs))] if fraction else pairs[:0]
        judged = np.concatenate([np.tile(pairs, int(whole)), some])
        items = self._drawn_items(rng)
        variants = self.derived[items]  # [n, V]
        present = variants != PADDING
        nth = (rng.random(len(items)) * present.sum(axis=1)).astype(np.int64)  # which of those there are
        variant = np.argmax(np.cumsum(present, axis=1) > nth[:, np.newaxis], axis=1)
        texts = np.concatenate([self.judged_texts[judged], variants[np.arange(len(items)), variant]])
        rows = np.concatenate([self.judged_rows[judged], items])
        weights = np.concatenate([self.judged_weights[judged], np.ones(len(items), np.float32)])
        groups = self.groups[texts]
        answers = np.stack(
            [
                np.concatenate([groups, self.groups[self.judged_texts]]),
                np.concatenate([rows, self.judged_rows]),
            ],
            axis=1,
        )
        order = rng.permutation(len(texts))
        return QueryOnlyExamples(texts[order], rows[order], weights[order], groups[order], np.unique(answers, axis=0))

    def _drawn_items(self, rng: np.random.Generator) -> NDArray[np.int64]:
        number = self._number_alone
        return rng.permutation(self._derivable)[:number] if number else np.zeros(0, np.int64)
