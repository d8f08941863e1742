"""Pools of candidates, and what they are worth when it is known what was relevant."""

import numpy as np
import torch

from towers.candidates.candidate_pool import Found, Pools
from towers.candidates.labelled_pools import LabelledPools
from towers.metrics.ranking_metrics import per_user


def pools_of(users: int, seed: int = 0) -> LabelledPools:
    """Random pools of three channels over 30 items; some relevant items are in no pool."""
    rng = np.random.default_rng(seed)
    parts, relevant, missed = [], [], []
    for _ in range(users):
        scores = rng.normal(size=(30, 3)).astype(np.float32)
        lists = [Found.best(np.arange(30), scores[:, channel], k) for channel, k in enumerate((8, 5, 3))]
        about = rng.normal(size=(30, 7)).astype(np.float32)
        pool = Pools.of_one(lists, lambda rows, scores=scores: scores[rows], lambda rows, about=about: about[rows])
        truth = rng.choice(30, 3, replace=False)
        parts.append(pool)
        relevant.append(np.isin(pool.rows, truth))
        missed.append(3 - int(relevant[-1].sum()))
    return LabelledPools(Pools.joined(parts), np.concatenate(relevant), np.array(missed))


def test_the_best_are_in_order_and_ties_go_to_the_lower_row():
    found = Found.best(np.array([7, 3, 5, 1]), np.array([1.0, 2.0, 1.0, 0.5], np.float32), 3)
    assert found.rows.tolist() == [3, 5, 7]


def test_a_pool_is_the_union_with_the_place_of_each_in_each_list():
    lists = [Found(np.array([4, 2]), np.array([2.0, 1.0], np.float32)), Found(np.array([9, 4]), np.ones(2, np.float32))]
    pool = Pools.of_one(lists, lambda rows: np.zeros((len(rows), 2), np.float32), lambda rows: np.zeros((len(rows), 0)))
    assert pool.rows.tolist() == [2, 4, 9]
    assert pool.places.tolist() == [[2, 0], [1, 2], [0, 1]]


def test_without_a_channel_what_only_it_found_is_missed():
    labelled = pools_of(20)
    some = labelled.only([0, 2])
    for user in range(20):
        part = slice(labelled.pools.offsets[user], labelled.pools.offsets[user + 1])
        offered = (labelled.pools.places[part][:, [0, 2]] > 0).any(axis=1)
        own = slice(some.pools.offsets[user], some.pools.offsets[user + 1])
        assert some.pools.rows[own].tolist() == labelled.pools.rows[part][offered].tolist()
        assert some.missed[user] + some.relevant[own].sum() == 3


def test_some_users_keep_their_candidates():
    labelled = pools_of(10)
    chosen = np.arange(10) % 3 == 0
    some = labelled.of(chosen)
    assert len(some) == 4
    expected = np.concatenate([labelled.pools.rows[labelled.pools.users == user] for user in np.flatnonzero(chosen)])
    assert some.pools.rows.tolist() == expected.tolist()


def test_ndcg_counts_misses_and_is_that_of_the_metrics():
    labelled = pools_of(40)
    scores = labelled.pools.scores[:, 1].astype(np.float64)
    found = labelled.ndcg(scores)
    for user in range(40):
        part = slice(labelled.pools.offsets[user], labelled.pools.offsets[user + 1])
        order = sorted(range(part.start, part.stop), key=lambda t: (-scores[t], labelled.pools.rows[t]))
        ranks = [1 + place for place, t in enumerate(order) if labelled.relevant[t]]
        ranks += [1000] * int(labelled.missed[user])

        twin = per_user(torch.tensor(ranks), torch.zeros(len(ranks), dtype=torch.int64), 1, [10])["ndcg@10"]
        assert abs(found[user] - float(twin)) < 1e-12
