"""Labelled pools: some users, some channels, and NDCG."""

import numpy as np
import torch

from tests.towers.candidates.pools import random_pools
from towers.metrics.ranking_metrics import per_user


def test_without_a_channel_relevant_items_of_it_alone_are_not_retrieved():
    labelled = random_pools(20)
    narrowed = labelled.only([0, 2])
    for user in range(20):
        part = slice(labelled.pools.offsets[user], labelled.pools.offsets[user + 1])
        offered = (labelled.pools.channel_ranks[part][:, [0, 2]] > 0).any(axis=1)
        of_user = slice(narrowed.pools.offsets[user], narrowed.pools.offsets[user + 1])
        assert narrowed.pools.rows[of_user].tolist() == labelled.pools.rows[part][offered].tolist()
        assert narrowed.not_retrieved[user] + narrowed.relevant[of_user].sum() == 3


def test_some_users_keep_their_candidates():
    labelled = random_pools(10)
    chosen = np.arange(10) % 3 == 0
    narrowed = labelled.of(chosen)
    assert len(narrowed) == 4
    expected = np.concatenate([labelled.pools.rows[labelled.pools.users == user] for user in np.flatnonzero(chosen)])
    assert narrowed.pools.rows.tolist() == expected.tolist()


def test_ndcg_counts_what_is_not_retrieved_and_is_that_of_the_metrics():
    labelled = random_pools(40)
    scores = labelled.pools.scores[:, 1].astype(np.float64)
    found = labelled.ndcg(scores)
    for user in range(40):
        part = slice(labelled.pools.offsets[user], labelled.pools.offsets[user + 1])
        order = sorted(range(part.start, part.stop), key=lambda t: (-scores[t], labelled.pools.rows[t]))
        ranks = [1 + position for position, t in enumerate(order) if labelled.relevant[t]]
        ranks += [1000] * int(labelled.not_retrieved[user])

        twin = per_user(torch.tensor(ranks), torch.zeros(len(ranks), dtype=torch.int64), 1, [10])["ndcg@10"]
        assert abs(found[user] - float(twin)) < 1e-12
