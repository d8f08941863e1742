"""Judged queries, their folds, and graded NDCG."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from towers.metrics.judgements import Judgements
from towers.metrics.ranking_metrics import graded_ndcg


def dataset(judged: list[tuple[str, str, int]] | None) -> Dataset:
    """What `Judgements.of` reads of a dataset."""
    table = None if judged is None else pd.DataFrame(judged, columns=["query", "item_id", "grade"])
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"]})
    return cast(Dataset, SimpleNamespace(path=Path("shop"), items=items, judgements=table))


def by_hand(ranked: list[int], grades: dict[int, int], k: int) -> float:
    """NDCG@k the slow way: walk down the ranking, then down the best one."""

    def total(gains: list[int]) -> float:
        return sum((2**g - 1) / math.log2(2 + place) for place, g in enumerate(gains[:k]))

    ideal = total(sorted(grades.values(), reverse=True))
    return total([grades.get(item, 0) for item in ranked]) / ideal if ideal else 0.0


def test_judgements_are_grouped_by_query_whatever_their_order() -> None:
    judged = Judgements.of(dataset([("red", "c", 2), ("blue", "a", 0), ("red", "a", 3)]))
    assert judged.queries == ["blue", "red"]
    assert [rows.tolist() for rows in judged.rows] == [[0], [2, 0]]
    assert [grades.tolist() for grades in judged.grades] == [[0], [2, 3]]
    query, row, grade = judged.pairs
    assert (query.tolist(), row.tolist(), grade.tolist()) == ([0, 1, 1], [0, 2, 0], [0, 2, 3])
    assert judged[np.array([1])].queries == ["red"]


def test_a_dataset_without_judgements_is_refused() -> None:
    with pytest.raises(UsageError, match="shop has no judgements"):
        Judgements.of(dataset(None))


def test_folds_share_the_queries_out_and_a_seed_draws_them_again() -> None:
    judged = Judgements.of(dataset([(f"q{n}", "a", 1) for n in range(11)]))
    parts = judged.folds(3, seed=1)
    assert sorted(len(part) for part in parts) == [3, 4, 4]
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))
    assert [part.tolist() for part in judged.folds(3, seed=1)] == [part.tolist() for part in parts]
    assert [part.tolist() for part in judged.folds(3, seed=2)] != [part.tolist() for part in parts]
    for count in (1, 12):
        with pytest.raises(UsageError, match=f"folds: {count} must be"):
            judged.folds(count, seed=1)


def test_graded_ndcg_of_a_ranking_worked_out_by_hand() -> None:
    # ranks 2 and 5 hold grades 3 and 1, the judged item of grade 2 is not among the first five
    found, grades = torch.tensor([2, 5, 9]), torch.tensor([3, 1, 2])
    reached = 7 / math.log2(3) + 1 / math.log2(6)
    ideal = 7 + 3 / math.log2(3) + 1 / 2
    ndcg = graded_ndcg(found, torch.zeros(3, dtype=torch.int64), grades, 1, 5)
    assert ndcg.tolist() == pytest.approx([reached / ideal])


@pytest.mark.parametrize("k", [1, 3, 10])
def test_graded_ndcg_is_that_of_walking_down_the_ranking(k: int) -> None:
    random = np.random.default_rng(0)
    found: list[int] = []
    queries: list[int] = []
    grades: list[int] = []
    expected = []
    for query in range(40):
        ranked = random.permutation(20).tolist()
        judged = {int(item): int(random.integers(4)) for item in random.choice(20, random.integers(1, 15), False)}
        found += [ranked.index(item) + 1 for item in judged]
        queries += [query] * len(judged)
        grades += judged.values()
        expected.append(by_hand(ranked, judged, k))
    shuffled = random.permutation(len(found))
    parts: list[Any] = [torch.tensor(part)[shuffled] for part in (found, queries, grades)]
    assert graded_ndcg(*parts, 40, k).tolist() == pytest.approx(expected)


def test_a_query_with_nothing_good_has_zero() -> None:
    ndcg = graded_ndcg(torch.tensor([1, 1]), torch.tensor([0, 2]), torch.tensor([0, 1]), 3, 10)
    assert ndcg.tolist() == [0, 0, 1]
