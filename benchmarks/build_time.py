"""Time of training and filling an index, ours beside FAISS's own from the same factory string, by turns.

    python -m benchmarks.build_time --items 175869 --factory IVF1024,PQ128x4fs

Processor seconds of one thread. What `index.build` does beyond that (it tries several designs, asks users for the best
effort, writes and hashes) is in its own report and in docs/benchmarks.md.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import faiss
import torch

from benchmarks.ann.catalogue import Vectors
from benchmarks.ann.synthetic import synthetic
from data_prep.command import load_config
from index.build import BuildConfig
from index.search import Plan, fill, train_index

TURNS = 3


def raw(vectors: Vectors, factory: str) -> None:
    """Train and add, as FAISS does it by itself."""
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)


def ours(vectors: Vectors, factory: str, config: BuildConfig) -> None:
    """Train and fill, as `index.build` does it."""
    plan = Plan(factory, "benchmark")
    fill(train_index(plan, vectors, config.points_per_list, config.seed, config.require_gpu), vectors)


def seconds(work: Callable[[], None]) -> float:
    """Of the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print a line for each turn, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=175_869)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--factory", default="IVF1024,PQ128x4fs")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    config = load_config(BuildConfig, "build", ["run=none", "data=none"])
    vectors, _ = synthetic(arguments.items, 1, arguments.dim, seed=0)
    ratios = []
    for _ in range(TURNS):
        theirs = seconds(lambda: raw(vectors, arguments.factory))
        taken = seconds(lambda: ours(vectors, arguments.factory, config))
        ratios.append(taken / theirs)
        print(f"FAISS {theirs:.2f} s, ours {taken:.2f} s, {ratios[-1]:.2f} of it", flush=True)
    print(f"median {median(ratios):.2f}")


if __name__ == "__main__":
    main()
