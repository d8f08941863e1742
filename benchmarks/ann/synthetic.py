"""Made-up vectors and users, for a machine without the shared data or for another size."""

import numpy as np

from benchmarks.ann.catalogue import Vectors, unit

CENTRES = 2000
SPREAD = 0.5
HISTORY = 5
RECENCY = 0.7
NOISE = 0.3


def synthetic(count: int, users: int, dim: int, seed: int) -> tuple[Vectors, Vectors]:
    """Unit vectors around centres of very unequal size [count, dim], and vectors of users [users, dim].

    A user is the recency-weighted mean of a few items of one centre with noise added, which lies off the items'
    manifold as a real one does.
    """
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(CENTRES, dim)))
    cluster = rng.zipf(1.3, size=count) % CENTRES
    vectors = unit(centres[cluster] + SPREAD * rng.normal(size=(count, dim)) / np.sqrt(dim))
    order = np.argsort(cluster, kind="stable")
    begins = np.searchsorted(cluster[order], np.arange(CENTRES + 1))
    liked = cluster[rng.integers(count, size=users)]
    histories = order[rng.integers(begins[liked], begins[liked + 1], size=(HISTORY, users))]  # [HISTORY, users]
    means = unit(np.einsum("h,hud->ud", RECENCY ** np.arange(HISTORY), vectors[histories]))
    return vectors, unit(means + NOISE * rng.normal(size=means.shape) / np.sqrt(dim))
