"""Judgements (qrels): the items that answer a search text, by grade, and how well a ranking agrees with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from towers.events.history import NO_QUERY, Sequences
from towers.metrics.cases import Cases, flat


@dataclass(frozen=True)
class Judgements:
    """Queries and their judged items.

    Attributes:
        queries: Q search texts, each once, sorted.
        rows: for each query the judged items, as rows of the catalogue.
        grades: the grade of each, 0 and up, higher is better.
    """

    queries: list[str]
    rows: list[NDArray[np.int64]]
    grades: list[NDArray[np.int64]]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Read a dataset's judgements.

        Raises:
            UsageError: it has none.
        """
        table = dataset.judgements
        if table is None:
            raise UsageError(f"{dataset.path} has no judgements; prepare it with source.judgements=… (docs/data.md)")
        items = pd.Index(dataset.items[Columns.ITEM_ID]).get_indexer(pd.Index(table[Columns.ITEM_ID]))
        codes, queries = pd.factorize(table[Columns.QUERY], sort=True)
        order = np.argsort(codes, kind="stable")
        cuts = np.cumsum(np.bincount(codes))[:-1]
        rows = np.split(items[order].astype(np.int64), cuts)
        grades = np.split(table[Columns.GRADE].to_numpy(dtype=np.int64)[order], cuts)
        return cls([str(query) for query in queries], rows, grades)

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Judgements":
        """Some of the queries, by their positions, [n]."""
        positions = chosen.tolist()
        return Judgements(*([part[i] for i in positions] for part in (self.queries, self.rows, self.grades)))

    def folds(self, count: int, seed: int) -> list[NDArray[np.int64]]:
        """Positions of the queries in `count` parts of like size, drawn at random, each query in one of them.

        Raises:
            UsageError: there are fewer queries than parts, or only one part.
        """
        if not 2 <= count <= len(self):
            raise UsageError(f"folds: {count} must be at least 2 and at most the number of judged queries, {len(self)}")
        drawn = np.random.default_rng(seed).permutation(len(self))
        return [np.sort(part) for part in np.array_split(drawn, count)]

    def fold(self, count: int, number: int, seed: int) -> "Judgements":
        """The queries of one of the `folds`."""
        return self[self.folds(count, seed)[number]]

    def outside(self, count: int, number: int, seed: int) -> "Judgements":
        """The queries of all `folds` but one."""
        parts = self.folds(count, seed)
        return self[np.sort(np.concatenate(parts[:number] + parts[number + 1 :]))]

    def answerable(self) -> "Judgements":
        """The queries of which at least one item is of a grade above 0: on the others every ranking does as well."""
        return self[np.array([i for i, grades in enumerate(self.grades) if (grades > 0).any()], np.int64)]

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Query, row and grade of every judgement, [T] each; a query's stand together, queries in order."""
        queries = np.repeat(np.arange(len(self)), [len(rows) for rows in self.rows])
        query, row, grade = map(torch.from_numpy, (queries, flat(self.rows), flat(self.grades)))
        return query, row, grade


def judgement_cases(judged: Judgements, item_ids: Sequence[str], cutoffs: Sequence[int]) -> Cases:
    """Queries as cases: nothing is known of the user, and every item of a grade above 0 is relevant.

    Args:
        judged: answerable queries.
        item_ids: the catalogue's strings, [N].
        cutoffs: the k of the metrics.
    """
    truth = [rows[grades > 0] for rows, grades in zip(judged.rows, judged.grades, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in truth])]).astype(np.int64)
    total = int(offsets[-1])
    answers = Sequences(
        user_ids=np.array(judged.queries, object),
        offsets=offsets,
        rows=flat(truth),
        events=np.full(total, "", object),
        timestamps=np.full(total, np.nan),
        queries=np.full(total, NO_QUERY),
        query_texts=[],
        splits=np.full(total, int(Split.TEST)),
    )
    everyone = np.arange(len(judged))
    return Cases(answers, item_ids, Split.TEST, everyone, offsets[:-1], truth, False, cutoffs, judged.queries)


def _flat(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
