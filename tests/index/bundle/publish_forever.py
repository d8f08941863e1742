"""Publishes one small bundle after the other until it is killed; run by test_publication.py.

For each line on stdin a fresh process is forked, which is cheaper than an interpreter, and its id is printed.
"""

import os
import sys
from itertools import count
from pathlib import Path

import numpy as np

from index.bundle.change_log import Merged
from index.bundle.manifest import FORMAT, IndexRecord, Manifest, records
from index.bundle.publication import building, new_bundle, switch_current
from index.search.effort import SearchParameters

FILES = 25


def manifest(version: str, folder: Path) -> Manifest:
    """A manifest of what stands in a folder."""
    return Manifest(
        format=FORMAT,
        version=version,
        created="2026-11-22T14:15:00+00:00",
        metric="inner_product",
        dim=8,
        items=3,
        users=2,
        exclude_seen=True,
        index=IndexRecord("Flat", "3 vectors: exact", "float32", SearchParameters(1, 1.0, 3), 1.0),
        fingerprints={"dataset": "a" * 16, "run": "b" * 16},
        changes=Merged("0123456789abcdef", 7),
        libraries={"numpy": "2.4.6"},
        files=records(folder),
    )


def publish(bundles: Path, version: str) -> None:
    """Build a bundle of many small files and make it current."""
    with building(bundles, f"publishing {version}"):
        with new_bundle(bundles, version) as folder:
            for number in range(FILES):
                np.save(folder / f"{number}.npy", np.full(2_000, number))
            manifest(version, folder).write(folder)
        switch_current(bundles, version)


def main(bundles: Path) -> None:
    """Fork a publisher for each line on stdin."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            for number in count():
                publish(bundles, f"{line.strip()}-{number:04}")
                print("published", flush=True)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
