"""Recall and time of a search that is narrowed by a filter, from half of a catalogue down to a thousandth.

    python -m benchmarks.ann.filters                          # 200,000 clustered synthetic vectors
    python -m benchmarks.ann.filters --vectors vectors.npy --users users.npy

A filter's rows lie `anywhere`, as those in stock do, or in `clusters`: whole regions of the space, as a category's do,
most users being far from them. Each is searched three times: as `ItemIndex.search` plans it, only with FAISS's selector
and only by comparing all rows that are allowed. Recall is against brute force over those rows.
"""

import argparse
import time
from pathlib import Path
from unittest import mock

import faiss
import numpy as np
from numpy.typing import NDArray

from data_prep.command import instantiate, load_config
from index.build import BuildConfig
from index.calibration import choose_index, index_recall
from index.search import ItemIndex

DIM = 128
CENTRES = 2000
USERS = 2000
K = 100
BATCHES = (64, 1)
MEASURED = 256
SHARES = (0.95, 0.5, 0.1, 0.01, 0.001)
SCANNED = {"as planned": ItemIndex.scanned_rows, "selector": 0, "scan": 10**9}

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The same vectors, each of length one."""
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def synthetic(count: int, rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Vectors around centres of unequal size, and users between five items, off the items' manifold."""
    centres = unit(rng.normal(size=(CENTRES, DIM)))
    sizes = rng.dirichlet(np.full(CENTRES, 0.5))
    vectors = unit(centres[rng.choice(CENTRES, count, p=sizes)] + rng.normal(size=(count, DIM)) / np.sqrt(DIM))
    near = np.argsort(-(centres @ centres.T), axis=1)[:, :20]  # what a user likes, they like the neighbours of
    liked = near[rng.integers(CENTRES, size=USERS)[:, None], rng.integers(20, size=(USERS, 5))]
    return vectors, unit(centres[liked].mean(axis=1) + 0.5 * rng.normal(size=(USERS, DIM)) / np.sqrt(DIM))


def rows_of(vectors: Vectors, share: float, kind: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows that a filter leaves."""
    size = int(share * len(vectors))
    if kind == "anywhere":
        return np.sort(rng.choice(len(vectors), size, replace=False))
    regions = np.argmax(vectors @ vectors[rng.choice(len(vectors), 1000, replace=False)].T, axis=1)
    order = np.argsort(rng.permutation(1000)[regions], kind="stable")
    return np.sort(order[:size])


def milliseconds(index: ItemIndex, users: Vectors, batch: int, rows: NDArray[np.int64]) -> float:
    """Processor time a query, the filter made ready beforehand."""
    ready = index.allow(rows)
    times = []
    for start in range(0, MEASURED if batch > 1 else 64, batch):
        began = time.process_time()
        index.search(users[start : start + batch], K, allowed=ready)
        times.append((time.process_time() - began) / batch * 1000)
    return float(np.median(times))


def main() -> None:
    """Build, then measure every filter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=int, default=200_000)
    parser.add_argument("--vectors", type=Path, help="[N, D] float32 .npy")
    parser.add_argument("--users", type=Path, help="[U, D] float32 .npy: a half calibrates, the other is measured")
    parser.add_argument("overrides", nargs="*", help="of conf/build.yaml: recall_target=0.98 …")
    arguments = parser.parse_args()
    if (arguments.vectors is None) != (arguments.users is None):
        parser.error("give both --vectors and --users, or neither")

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    if arguments.vectors is None:
        vectors, users = synthetic(arguments.synthetic, rng)
    else:
        vectors, users = np.load(arguments.vectors), np.load(arguments.users)
    config = load_config(BuildConfig, "build", ["run=none", "data=none", *arguments.overrides])
    known, fresh = np.array_split(users, 2)
    plans = instantiate(config.index).plans(*vectors.shape)
    chosen = choose_index(plans, vectors, known[: config.calibration_users], config.index_settings)
    index = chosen.searched
    print(f"{len(vectors):,} vectors, {chosen.plan.factory}, {chosen.plan.vectors}, {chosen.calibration.parameters}")
    print(f"index recall@{K} without a filter {index_recall(index, fresh[:MEASURED], K, vectors):.3f}")
    print("filter, rows, plan, recall, ms a query in batches of 64, ms alone")
    for kind in ("anywhere", "clusters"):
        for share in SHARES:
            rows = rows_of(vectors, share, kind, rng)
            for plan, scanned in SCANNED.items():
                with mock.patch.object(ItemIndex, "scanned_rows", scanned):
                    recall = index_recall(index, fresh[:MEASURED], K, vectors, rows)
                    times = [f"{milliseconds(index, fresh, batch, rows):.2f}" for batch in BATCHES]
                print(f"{share:.1%} {kind}, {len(rows):,}, {plan}, {recall:.3f}, {', '.join(times)}", flush=True)


if __name__ == "__main__":
    main()
