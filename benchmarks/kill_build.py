"""Kill the real `python -m index.build` again and again, and check that the served bundle stays whole.

    python benchmarks/kill_build.py run=artifacts/runs/demo data=artifacts/data/completejourney --kills 20

A first build is left to finish and its answers are noted. Every further one is killed with SIGKILL: every other one at
a moment of the whole build, the rest at a moment of its short end, from the first byte written to the switch of
`current`; both spread evenly. Each time `current` must load, which checks every hash, and answer as before (the inputs
being the same, so does a version that a late kill let through). The last build must find the folder free and leave no
trace of the dead ones. Bundles go to a folder of their own: nothing that serves is touched.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from index import Bundle, current_bundle
from towers import History

K = 100
USERS = 50

Answers = list[tuple[list[str], list[float]]]


def answers(bundles: Path) -> tuple[str, Answers]:
    """The current version and the items it recalls for its first users."""
    bundle = Bundle.load(current_bundle(bundles))
    histories = [bundle.histories.at(place) for place in range(min(USERS, len(bundle.histories)))]
    histories.append(History.empty())
    queries = bundle.user_encoder.encode(histories, [""] * len(histories))
    found = bundle.index.search(queries, K, [history.rows for history in histories])
    return bundle.version, [(bundle.item_ids[hits.rows].tolist(), hits.scores.tolist()) for hits in found]


def same(left: Answers, right: Answers) -> bool:
    """Whether two versions answer alike: the same items, scores within float rounding of the encoder."""
    return all(a[0] == b[0] and np.allclose(a[1], b[1], atol=1e-5) for a, b in zip(left, right, strict=True))


def build_command(overrides: list[str], bundles: Path) -> list[str]:
    """The command as a user types it, into the drill's own folder."""
    return [sys.executable, "-m", "index.build", *overrides, f"bundles={bundles}"]


def half_written(bundles: Path) -> list[str]:
    """Folders and links that a build has begun and not yet published."""
    return sorted(path.name for path in bundles.glob(".*.tmp-*"))


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """A build, running."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_writing(process: subprocess.Popen[bytes], bundles: Path) -> None:
    """Return when the build makes its folder, or has ended."""
    while process.poll() is None and not half_written(bundles):
        time.sleep(0.001)


def build(command: list[str], bundles: Path) -> tuple[float, float]:
    """Run a build to its end; seconds until it begins to write, and from there until it has published."""
    begun = time.monotonic()
    with start(command) as process:
        wait_for_writing(process, bundles)
        writing = time.monotonic()
        while process.poll() is None and half_written(bundles):
            time.sleep(0.001)
        published = time.monotonic()
    if process.returncode != 0:
        sys.exit(f"the build failed with {process.returncode}: {' '.join(command)}")
    return writing - begun, published - writing


def kill(command: list[str], bundles: Path, seconds: float, once_writing: bool) -> bool:
    """Start a build and kill it so many seconds later; whether it was still alive then."""
    with start(command) as process:
        if once_writing:
            wait_for_writing(process, bundles)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


def drill(overrides: list[str], bundles: Path, kills: int) -> bool:
    """Kill builds; whether all went well."""
    command = build_command(overrides, bundles)
    before, writing = build(command, bundles)
    version, expected = answers(bundles)
    print(f"a build takes {before:.1f} s and {writing:.2f} s of writing; {version} answers {len(expected)} users")
    whole = killed = caught = 0
    for number in range(kills):
        once_writing = number % 2 == 1
        moment = (writing if once_writing else before + writing) * (number + 0.5) / kills
        alive = kill(command, bundles, moment, once_writing)
        left = half_written(bundles)
        current, found = answers(bundles)
        good = same(found, expected)
        killed, caught, whole = killed + alive, caught + bool(left), whole + good
        when = f"{moment:6.3f} s into {'writing' if once_writing else 'the build'}"
        outcome = f"{'killed' if alive else 'had ended'} {when}, left {left or 'nothing'}"
        print(f"{number + 1:3} {outcome}: current {current}, {'same' if good else 'OTHER'} answers", flush=True)
    build(command, bundles)
    _, found = answers(bundles)
    leftovers = half_written(bundles)
    print(f"{whole}/{kills} times the current version was whole and answered the same")
    print(f"{killed} builds were killed, {caught} with a bundle half written")
    print(f"the build after them left {leftovers or 'nothing'} behind")
    return whole == kills and same(found, expected) and not leftovers


def main() -> None:
    """Parse the command line and run the drill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="+", help="run=… data=… and any other override of index.build")
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="kill_build-") as bundles:
        sys.exit(0 if drill(arguments.overrides, Path(bundles), arguments.kills) else 1)


if __name__ == "__main__":
    main()
