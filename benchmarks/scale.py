"""Memory and time of building and serving a catalogue of many made-up items, by the functions of `index.build`.

    nice python benchmarks/scale.py threads=1 calibration_users=400 --items 10000000 --dim 64

Vectors come in pieces, as from the towers, into the working file that an interrupted build goes on with; the index is
trained on a sample, filled in pieces and calibrated; a fresh process maps the files and answers. Items lie in clusters
of very unequal size around centres that themselves lie near a third of the dimensions, as trained vectors do; users are
recency-weighted sums of items of one cluster, with noise, so that they lie off the items. Files go to `--into` (kept,
and gone on with) or to a temporary folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_prep.command import instantiate, load_config
from data_prep.vector_file import map_vectors
from index.build import BuildConfig, encode_catalogue
from index.calibration import choose_index, index_recall
from index.search import ItemIndex, SearchParameters, StoredVectors

CENTRES = 20_000
SPREAD = 0.6
HISTORY = 5
RECENCY = 0.7
NOISE = 0.3
BATCH = 64
WATCH_SECONDS = 0.2

Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The same vectors, each of length one."""
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


class Catalogue:
    """Made-up items, any of which can be made again by its number.

    Args:
        count: items.
        dim: length of a vector.
        seed: of everything.
    """

    def __init__(self, count: int, dim: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        directions = rng.normal(size=(dim // 3, dim))
        self.centres = unit(rng.normal(size=(CENTRES, len(directions))) @ directions)
        shares = 1 / np.arange(10, CENTRES + 10)
        self.clusters = rng.choice(CENTRES, count, p=shares / shares.sum()).astype(np.int32)
        self.dim = dim
        self.seed = seed

    def vectors(self, items: pd.DataFrame) -> Vectors:
        """Vectors of consecutive items, as a model's `item_vectors`, [n, dim]."""
        rows = items.index.to_numpy()
        rng = np.random.default_rng((self.seed, int(rows[0])))
        noise = rng.standard_normal((len(rows), self.dim), dtype=np.float32) / np.sqrt(self.dim)
        return unit(self.centres[self.clusters[rows]] + SPREAD * noise)

    def users(self, vectors: Vectors, count: int) -> Vectors:
        """Vectors of users, each of five items of one cluster, [count, dim]."""
        rng = np.random.default_rng(self.seed + 1)
        order = np.argsort(self.clusters, kind="stable")
        starts = np.searchsorted(self.clusters[order], np.arange(CENTRES + 1))
        weights = RECENCY ** np.arange(HISTORY)
        made = []
        for cluster in self.clusters[rng.integers(len(self.clusters), size=count)]:
            members = order[starts[cluster] : starts[cluster + 1]]
            made.append(weights @ vectors[np.sort(rng.choice(members, HISTORY))])
        return unit(unit(np.array(made)) + NOISE * rng.normal(size=(count, self.dim)) / np.sqrt(self.dim))


class MemoryWatch:
    """Time of stages, and the most memory this process held meanwhile."""

    def __init__(self) -> None:
        self.told: dict[str, object] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time and memory of a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        peak, done = {"own": 0, "mapped": 0}, threading.Event()
        watcher = threading.Thread(target=self._watch, args=(peak, done))
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        took = {"seconds": round(time.perf_counter() - wall, 1), "cpu seconds": round(time.process_time() - cpu, 1)}
        self.told[name] = took | {f"peak MB {kind}": round(size / 1000) for kind, size in peak.items()}
        print(f"{name}: {self.told[name]}", flush=True)

    def _watch(self, peak: dict[str, int], done: threading.Event) -> None:
        while True:
            own, mapped = memory()
            peak["own"], peak["mapped"] = max(peak["own"], own), max(peak["mapped"], mapped)
            if done.wait(WATCH_SECONDS):
                return


def memory() -> tuple[int, int]:
    """KB this process holds for itself, and of files, which the kernel can take back at any time."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]), int(lines["RssFile"].split()[0])


def serve(folder: Path) -> None:
    """Map the bundle into this process, and answer users one by one and in batches."""
    faiss.omp_set_num_threads(1)
    before = memory()
    start = time.perf_counter()
    vectors, users = map_vectors(folder / "vectors.npy"), np.load(folder / "users.npy")
    index = faiss.read_index(os.fspath(folder / "index.faiss"), faiss.IO_FLAG_MMAP_IFC)
    parameters = SearchParameters(**json.loads((folder / "parameters.json").read_text()))
    stored = StoredVectors(
        np.load(folder / "stored.npy", mmap_mode="r").view(np.ndarray), np.load(folder / "scale.npy")
    )
    searched = ItemIndex(stored, index, parameters)
    loaded = time.perf_counter() - start
    recall = index_recall(searched, users, parameters.k, vectors)
    told = {"seconds to load": round(loaded, 2), "users": len(users), f"index recall@{parameters.k}": round(recall, 4)}
    for size in (1, BATCH):
        start = time.process_time()
        for first in range(0, len(users), size):
            searched.search(users[first : first + size], parameters.k)
        told[f"cpu ms a query, batches of {size}"] = round((time.process_time() - start) / len(users) * 1000, 3)
    own, mapped = memory()
    told["MB own"], told["MB mapped"] = round((own - before[0]) / 1000), round(mapped / 1000)
    print(f"serve: {told}", flush=True)


def build(config: BuildConfig, folder: Path, count: int, dim: int) -> None:
    """Build the bundle that `serve` answers from."""
    watch = MemoryWatch()
    with watch("make up items"):
        catalogue = Catalogue(count, dim, config.seed)
        items = pd.DataFrame({"item_id": pd.Series(np.arange(count)).astype(str)})
    with watch("encode"):
        encoded = encode_catalogue(catalogue.vectors, items, dim, folder, f"{count}-{dim}-{config.seed}", None)
        vectors = encoded.vectors
    print(f"{encoded.resumed:,} vectors found", flush=True)
    with watch("index"):
        users = catalogue.users(vectors, 2 * config.calibration_users)
        asked, fresh = users[: config.calibration_users], users[config.calibration_users :]
        chosen = choose_index(instantiate(config.index).plans(count, dim), vectors, asked, config.index_settings)
        calibration = chosen.calibration
    print(f"{chosen.plan.factory}: {chosen.plan.reason}", flush=True)
    with watch("write"):
        faiss.write_index(chosen.index, os.fspath(folder / "index.faiss"))
        np.save(folder / "stored.npy", chosen.stored.numbers)
        np.save(folder / "scale.npy", chosen.stored.scale)
        np.save(folder / "users.npy", fresh)
        (folder / "parameters.json").write_text(json.dumps(asdict(calibration.parameters)))
        link = folder / "vectors.npy"
        link.unlink(missing_ok=True)
        link.symlink_to(next(folder.glob(".encoding-*/vectors.npy")).resolve())
    print(f"index recall@{calibration.parameters.k} {calibration.recall:.4f} with {calibration.parameters}")
    print(f"index bytes a vector: {(folder / 'index.faiss').stat().st_size / count:.1f}", flush=True)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of conf/build.yaml: threads=1 recall_target=0.95 …")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    config = load_config(BuildConfig, "build", ["run=none", "data=none", *arguments.overrides])
    faiss.omp_set_num_threads(config.threads or os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        folder = arguments.into or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        build(config, folder, arguments.items, arguments.dim)
        subprocess.run([sys.executable, __file__, "--serve", str(folder)], check=True)


if __name__ == "__main__":
    main()
