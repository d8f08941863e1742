"""Processor time of choosing a diverse list: `python -m benchmarks.diversity_cost`."""

import time

import numpy as np

from benchmarks.diversity.settings import default_diversity
from towers.diversity import METHODS, Diversity, Pool, diversify

REPETITIONS = 200
SIZES = ((10, 50), (50, 200))  # items of a list, items to choose from


def made_up_pool(count: int, dim: int, seed: int) -> Pool:
    """Items that are as alike as a recall's are: a direction in common, and one of their own."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dim)) + 0.6 * rng.standard_normal(dim)
    scores = np.sort(rng.standard_normal(count))[::-1].astype(np.float32)
    categories = [f"category {n % 9}" for n in range(count)]
    return Pool(scores, vectors.astype(np.float32), categories, [f"Title of item {n}" for n in range(count)], count)


def milliseconds(pool: Pool, k: int, how: Diversity) -> float:
    """Of this thread's processor time, for one list."""
    diversify(pool, k, how)
    began = time.thread_time()
    for _ in range(REPETITIONS):
        diversify(pool, k, how)
    return 1000 * (time.thread_time() - began) / REPETITIONS


def main() -> None:
    """Print a line for each size and setting."""
    defaults = default_diversity()
    for dim in (128, 512):
        for k, count in SIZES:
            pool = made_up_pool(count, dim, seed=0)
            for method in METHODS:
                for quota, collapse in ((0, False), (3, True)):
                    how = Diversity(method, defaults.strength[method], quota, collapse, defaults.duplicate_cosine)
                    extras = ", quota and duplicates" if quota else ""
                    took = milliseconds(pool, k, how)
                    print(f"{k:3} of {count} items of {dim} numbers, {method}{extras}: {took:.2f} ms")


if __name__ == "__main__":
    main()
