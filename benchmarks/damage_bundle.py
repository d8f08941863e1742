"""Damage a bundle in every way a disk or a copy can, and check that each time it is refused.

    python benchmarks/damage_bundle.py artifacts/bundles/current --flips 300

On a copy of the bundle one bit is flipped at a time, in files drawn at random, alike for small and large ones; every
file is cut to nothing, to half, to all but its last byte, and is removed once. Each time the copy must be refused with
an error that names the file, as a server would refuse it. At the end, mended, it must load.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from index import Bundle, BundleError


@contextmanager
def mended(path: Path) -> Iterator[bytes]:
    """The contents of a file that is damaged in the block, and put back afterwards."""
    whole = path.read_bytes()
    yield whole
    path.write_bytes(whole)


def refused(folder: Path, damaged: Path) -> bool:
    """Whether a bundle is refused with an error that names the damaged file; what else happens is said."""
    try:
        Bundle.load(folder)
    except BundleError as error:
        if damaged.name in str(error):
            return True
        print(f"{damaged}: refused without its name: {error}")
        return False
    print(f"{damaged}: LOADED")
    return False


def flip_bits(folder: Path, files: list[Path], flips: int, rng: np.random.Generator) -> int:
    """How many of so many flipped bits were refused."""
    good = 0
    for _ in range(flips):
        path = files[rng.integers(len(files))]
        place = int(rng.integers(path.stat().st_size * 8))
        with path.open("r+b") as file:
            file.seek(place // 8)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ (1 << place % 8)]))
            file.flush()
            good += refused(folder, path)
            file.seek(-1, 1)
            file.write(bytes([byte]))
    return good


def truncate(folder: Path, files: list[Path]) -> tuple[int, int]:
    """How many truncations and removals were refused, and of how many."""
    good = tried = 0
    for path in files:
        with mended(path) as whole:
            for length in sorted({0, len(whole) // 2, len(whole) - 1}):
                path.write_bytes(whole[:length])
                good, tried = good + refused(folder, path), tried + 1
            path.unlink()
            good, tried = good + refused(folder, path), tried + 1
    return good, tried


def main() -> None:
    """Parse the command line, damage, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--flips", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="damage_bundle-") as temporary:
        folder = Path(shutil.copytree(arguments.bundle.resolve(), Path(temporary) / "bundle"))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        flipped = flip_bits(folder, files, arguments.flips, np.random.default_rng(0))
        print(f"{flipped}/{arguments.flips} flipped bits refused, in {len(files)} files", flush=True)
        cut, tried = truncate(folder, files)
        print(f"{cut}/{tried} truncations and removals refused")
        whole = Bundle.load(folder)
        print(f"mended, {whole.version} loads")
    sys.exit(0 if (flipped, cut) == (arguments.flips, tried) else 1)


if __name__ == "__main__":
    main()
