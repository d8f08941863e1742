"""How long a large bundle takes to be ready, what a process holds of it, and what two share.

    python benchmarks/load_bundle.py run=artifacts/runs/demo data=artifacts/data/completejourney --items 1000000

Writes a bundle of that model for a catalogue of so many made-up items, with the functions of `index.build`: ids that
training never saw, texts of the run's items with a number behind, vectors around those of the run's items. Then a fresh
process loads it, as a server does, and tells the time of each part; two at once tell what they share, by the kernel's
account (`/proc/self/smaps_rollup`). The bundle goes to a folder of its own, which `--into` names and keeps.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HISTORY = 20
NOISE = 0.35
SEARCHES = 200
K = 100


def made_up(items: pd.DataFrame, count: int) -> pd.DataFrame:
    """A catalogue of `count` items with the texts of a smaller one."""
    rows = np.arange(count) % len(items)
    table = items.iloc[rows].reset_index(drop=True)
    number = pd.Series(np.arange(count)).astype(str)
    return table.assign(
        item_id="item-" + number, title=table["title"] + " " + number, text=table["text"] + " " + number, popularity=0
    )


def around(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Vectors of about the same lengths, each near one of those given, [count, D]."""
    rng = np.random.default_rng(seed)
    scattered = np.empty((count, vectors.shape[1]), np.float32)
    width = NOISE * float(np.linalg.norm(vectors, axis=1).mean()) / np.sqrt(vectors.shape[1])
    for start in range(0, count, len(vectors)):
        some = vectors[: count - start]
        scattered[start : start + len(some)] = some + width * rng.standard_normal(some.shape, dtype=np.float32)
    return scattered


def write_bundle(overrides: list[str], bundles: Path, count: int, users: int) -> Path:
    """Build and publish the large bundle; its folder."""
    from data_prep.command import instantiate, load_config
    from index.build import BuildConfig, BuildReport, Contents, Origin, check_inputs, name_version, write_contents
    from index.bundle import BundleParts, Histories, building, new_bundle, switch_current
    from index.calibration import choose_index
    from towers import CrossEncoder, OneVectorModel
    from towers.candidates import FallbackChoice
    from towers.events import read_sequences

    config = load_config(BuildConfig, "build", [*overrides, f"bundles={bundles}"])
    inputs = check_inputs(config.run, config.data, config.cross_encoder, config.funnel)
    model = OneVectorModel.open(inputs.run)
    small = inputs.dataset.items.reset_index(drop=True)
    vectors = around(model.item_vectors(small), count, config.seed)
    items = made_up(small, count)
    rng = np.random.default_rng(config.seed)
    histories = Histories(
        user_ids=np.array([f"user-{number}" for number in range(users)], object),
        offsets=np.arange(users + 1) * HISTORY,
        rows=rng.integers(0, count, users * HISTORY),
        event_codes=np.zeros(users * HISTORY, np.int64),
        event_names=("view",),
        timestamps=np.tile(np.arange(HISTORY, dtype=float), users),
    )
    encoder = model.user_encoder(items, vectors)
    asking = [histories.at(number) for number in range(config.calibration_users)]
    queries = encoder.encode(asking, [""] * len(asking))
    chosen = choose_index(instantiate(config.index).plans(count, model.dim), vectors, queries, config.index_settings)
    recall, parameters = chosen.calibration.recall, chosen.calibration.parameters
    print(f"{chosen.plan.factory}, index recall@{config.recall_k} {recall:.4f}, {parameters}", flush=True)
    sequences = read_sequences(inputs.dataset, "", model.towers.users.attributes.columns)
    report = BuildReport(
        plan=chosen.plan,
        calibration=chosen.calibration,
        trials=chosen.trials,
        tried_on=chosen.tried_on,
        floor=config.recall_floor,
        model_recall=None,
        origin=Origin(None, count, 0, 0, warm=False),
        cross_encoder=inputs.cross_encoder,
        funnel="the towers alone",
        users_without_history=FallbackChoice("towers", "towers: made-up users were not asked", {}, {}),
        seconds={},
    )
    parts = BundleParts(
        items=items,
        vectors=vectors,
        index=chosen.searched,
        user_encoder=encoder,
        item_encoder=model.item_encoder(items, vectors, encoder),
        histories=histories,
        cross_encoder=None if inputs.cross_encoder.folder is None else CrossEncoder.load(inputs.cross_encoder.folder),
    )
    contents = Contents(parts, inputs, model, None, chosen, sequences, report)
    version = name_version(contents)
    with building(bundles, "benchmarks/load_bundle.py"):
        with new_bundle(bundles, version) as folder:
            write_contents(folder, version, contents, config)
        switch_current(bundles, version)
    return bundles / version


def memory() -> dict[str, float]:
    """Memory of this process by the kernel's count, in MB."""
    counted = ("Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty")
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) / 1000 for words in lines if words[0].rstrip(":") in counted}


def timed(work: Any) -> tuple[Any, dict[str, float]]:
    """Result of a call, and its seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"wall": round(time.perf_counter() - wall, 3), "cpu": round(time.process_time() - cpu, 3)}


def measure(folder: Path) -> None:
    """Load a bundle in this process, search it, tell what that took, and hold it until stdin ends."""

    def imported() -> None:
        import sentence_transformers  # noqa: F401 - what a bundle's text encoder imports when it is loaded

        from index import Bundle  # noqa: F401

    _, imports = timed(imported)
    import faiss

    from index import Bundle, Manifest

    faiss.omp_set_num_threads(1)
    before = memory()
    manifest = Manifest.read(folder)
    _, verify = timed(lambda: manifest.verify(folder))
    bundle, load = timed(lambda: Bundle.load(folder))
    loaded = memory()
    histories = [bundle.histories.at(number) for number in range(SEARCHES)]
    queries = bundle.user_encoder.encode(histories, [""] * SEARCHES)
    _, first = timed(lambda: bundle.index.search(queries[:1], K))
    _, searches = timed(lambda: [bundle.index.search(queries[n : n + 1], K) for n in range(SEARCHES)])
    size = sum(record.size for record in manifest.files.values())
    reports = {
        "bytes": size,
        "imports": imports,
        "verify": verify,
        "verify MB/s": round(size / 1e6 / verify["wall"]),
        "load (verify included)": load,
        "first search": first,
        "ms a search": round(searches["wall"] / SEARCHES * 1000, 3),
        "MB before loading": before,
        "MB loaded": loaded,
    }
    print(json.dumps(reports), flush=True)
    sys.stdin.readline()  # all have loaded and searched
    print(json.dumps(memory()), flush=True)
    sys.stdin.readline()


def start(folder: Path) -> "subprocess.Popen[str]":
    """A process that measures."""
    command = [sys.executable, __file__, "--measure", str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(processes: "list[subprocess.Popen[str]]") -> tuple[list[Any], list[Any]]:
    """Reports of processes after loading, and their memory when all have searched."""
    reports = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    held = []
    for process in processes:
        print(file=process.stdin, flush=True)
        held.append(json.loads(process.stdout.readline() if process.stdout else ""))
    for process in processes:
        process.communicate("\n")
    return reports, held


def report(folder: Path) -> None:
    """Measure one process, then two at once."""
    os.sync()  # pages still to be written would count as each process's own
    (alone,), _ = tell([start(folder)])
    for name, value in alone.items():
        print(f"{name}: {value}")
    _, held = tell([start(folder), start(folder)])
    for number, one in enumerate(held, 1):
        print(f"process {number} of two, after {SEARCHES} searches, MB: {one}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="run=… data=… and any other override of index.build")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--into", type=Path, help="folder of bundles to write to and keep; a temporary one otherwise")
    parser.add_argument("--bundle", type=Path, help="measure this bundle and write none")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.measure:
        measure(arguments.measure)
    elif arguments.bundle:
        report(arguments.bundle)
    else:
        with tempfile.TemporaryDirectory(prefix="load_bundle-") as temporary:
            bundles = arguments.into or Path(temporary)
            report(write_bundle(arguments.overrides, bundles, arguments.items, arguments.users))


if __name__ == "__main__":
    main()
