"""Random pools, for tests of what is made of them."""

import numpy as np

from towers.candidates.candidate_pool import CandidatePools, ChannelCandidates
from towers.candidates.labelled_pools import LabelledPools


def random_pools(users: int, seed: int = 0) -> LabelledPools:
    """Pools of three channels over 30 items, three of which are relevant to each user; some of these in no pool."""
    rng = np.random.default_rng(seed)
    parts, relevant, not_retrieved = [], [], []
    for _ in range(users):
        scores = rng.normal(size=(30, 3)).astype(np.float32)
        lists = [ChannelCandidates.best(np.arange(30), scores[:, channel], k) for channel, k in enumerate((8, 5, 3))]
        features = rng.normal(size=(30, 7)).astype(np.float32)
        pool = CandidatePools.of_user(
            lists, lambda rows, scores=scores: scores[rows], lambda rows, features=features: features[rows]
        )
        truth = rng.choice(30, 3, replace=False)
        parts.append(pool)
        relevant.append(np.isin(pool.rows, truth))
        not_retrieved.append(3 - int(relevant[-1].sum()))
    return LabelledPools(CandidatePools.joined(parts), np.concatenate(relevant), np.array(not_retrieved))
