"""The training set of a cross-encoder, and its parts."""

import numpy as np
import pytest

from data_prep.command import load_config
from data_prep.errors import GateFailed
from tests.towers.ranking.shortlist import shortlist
from towers.ranking.config import RankerConfig
from towers.ranking.training_set import RankingTrainingSet


def config(*overrides: str) -> RankerConfig:
    return load_config(RankerConfig, "train_ranker", ["run=x", *overrides])


def test_users_who_compare_are_neither_learnt_from_nor_choose():
    users = [shortlist([1, 0], context=str(number)) for number in range(20)]
    found = RankingTrainingSet.of(users, [], [], [], config("mining.held_out=0.4"))
    parts = [{one.context for one in lists} for lists in (found.learning, found.validation, found.comparison)]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert set.union(*parts) == {str(number) for number in range(20)}


def test_a_folds_queries_are_kept_from_the_cross_encoder_that_ranks_them():
    queries = [shortlist([1, 0], context=str(number)) for number in range(10)]
    folds = [np.arange(0, 5), np.arange(5, 10)]
    found = RankingTrainingSet.of([], [], queries, folds, config())
    for fold, positions in enumerate(folds):
        part = found.part(fold, held_out=0.2, seed=0)
        used = [one.context for one in (*part.judged, *part.validation)]
        assert len(part.validation) == 1
        assert sorted(used) == sorted(str(number) for number in range(10) if number not in positions)
    whole = found.part(None, held_out=0.2, seed=0)
    assert len(whole.judged) + len(whole.validation) == 10


def test_where_there_are_no_users_synthetic_queries_choose_the_epoch():
    items = [shortlist([1, 0], context=str(number)) for number in range(20)]
    found = RankingTrainingSet.of([], items, [], [], config("mining.held_out=0.4"))
    assert (len(found.learning), len(found.validation), len(found.comparison)) == (12, 4, 0)
    beside_users = RankingTrainingSet.of([shortlist([1, 0])] * 4, items, [], [], config("mining.held_out=0.5"))
    assert (len(beside_users.learning), len(beside_users.validation), len(beside_users.comparison)) == (22, 1, 1)


def test_too_few_users_to_keep_some_aside_are_refused():
    with pytest.raises(GateFailed, match="1 users are too few"):
        RankingTrainingSet.of([shortlist([1, 0])], [], [], [], config())
