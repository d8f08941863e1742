"""A version is visible whole or not at all, and `current` moves last."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data_prep.command import Locked, UsageError
from index.bundle.manifest import BundleError, Manifest
from index.bundle.publication import building, current_bundle, new_bundle, switch_current
from tests import processes

KILLS = 20
PUBLISHER = Path(__file__).with_name("publish_forever.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}


def publish(bundles, version, content="content"):
    with building(bundles, "test"):
        with new_bundle(bundles, version) as folder:
            (folder / "file").write_text(content)
        switch_current(bundles, version)


def names(bundles):
    return sorted(path.name for path in bundles.iterdir() if path.name != ".lock")


def test_a_published_version_is_current(tmp_path):
    publish(tmp_path, "v1")
    assert current_bundle(tmp_path) == tmp_path / "v1"
    publish(tmp_path, "v2")
    assert current_bundle(tmp_path) == tmp_path / "v2"
    assert names(tmp_path) == ["current", "v1", "v2"]


def test_the_folder_of_bundles_can_be_moved(tmp_path):
    publish(tmp_path / "here", "v1")
    (tmp_path / "here").rename(tmp_path / "there")
    assert (current_bundle(tmp_path / "there") / "file").read_text() == "content"


def test_nothing_published_yet_is_refused_with_the_cure(tmp_path):
    with pytest.raises(BundleError, match=r"no current bundle in .*index\.build"):
        current_bundle(tmp_path)


def test_going_back_is_switching_to_an_older_version(tmp_path):
    publish(tmp_path, "v1")
    publish(tmp_path, "v2")
    switch_current(tmp_path, "v1")
    assert current_bundle(tmp_path) == tmp_path / "v1"


def test_a_version_that_does_not_exist_cannot_become_current(tmp_path):
    publish(tmp_path, "v1")
    with pytest.raises(UsageError, match=r"no bundle .*v9"):
        switch_current(tmp_path, "v9")
    assert current_bundle(tmp_path) == tmp_path / "v1"


def test_a_folder_called_current_is_not_overwritten(tmp_path):
    (tmp_path / "current").mkdir()
    (tmp_path / "v1").mkdir()
    with pytest.raises(UsageError, match="not a symbolic link"):
        switch_current(tmp_path, "v1")


def test_a_build_that_fails_leaves_the_old_version_and_nothing_else(tmp_path):
    publish(tmp_path, "v1")
    with pytest.raises(ZeroDivisionError), building(tmp_path, "test"), new_bundle(tmp_path, "v2") as folder:
        (folder / "half").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == ["current", "v1"]


def test_what_dead_builds_left_is_cleared_up(tmp_path):
    publish(tmp_path, "v1")
    (tmp_path / ".v2.tmp-999999").mkdir()
    (tmp_path / ".v2.tmp-999999" / "half").write_text("half")
    (tmp_path / ".current.tmp-999999").symlink_to("v2")
    with building(tmp_path, "test"):
        assert names(tmp_path) == ["current", "v1"]


def test_a_second_build_is_refused_and_names_who_is_at_work(tmp_path):
    with building(tmp_path, "index.build run=artifacts/runs/demo"):
        with pytest.raises(Locked, match=rf"index\.build run=artifacts/runs/demo.*pid {os.getpid()}") as refusal:
            publish(tmp_path, "v1")
        assert refusal.value.exit_code == 3
    publish(tmp_path, "v1")


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
import faiss
import numpy as np
from data_prep.command import GateFailed
from index.bundle.publication import building, new_bundle
from data_prep.vector_file import save_vectors

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file may grow beyond
vectors = np.ones((10_000, 8), np.float32)
flat = faiss.IndexFlatIP(8)
flat.add(vectors)
for write in (
    lambda folder: save_vectors(folder / "vectors.npy", vectors),
    lambda folder: faiss.write_index(flat, str(folder / "index.faiss")),
):
    try:
        with building(Path(sys.argv[1]), "test"), new_bundle(Path(sys.argv[1]), "v2") as folder:
            write(folder)
    except GateFailed as error:
        print(error)
"""


def test_a_full_disk_is_reported_and_leaves_the_old_version_alone(tmp_path):
    publish(tmp_path, "v1")
    arguments = processes.python("-c", FILL_THE_DISK, tmp_path)
    said = processes.run(arguments, timeout=60, env=ENVIRONMENT).stdout.splitlines()
    assert [line.startswith(f"the disk ran full while writing {tmp_path / 'v2'}") for line in said] == [True, True]
    assert names(tmp_path) == ["current", "v1"]


@pytest.fixture
def publisher(tmp_path):
    """Starts real processes that publish into `tmp_path` for ever."""
    arguments = processes.python(PUBLISHER, tmp_path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with processes.started(arguments, env=ENVIRONMENT, **pipes) as process:
        yield process


def test_a_build_killed_at_any_moment_leaves_a_whole_current_version(tmp_path, publisher):
    """Twenty builds in a row are killed, each at another moment between its first instruction and its last."""

    def read():
        return publisher.stdout.readline().strip()

    half_written = 0
    for kill in range(KILLS):
        print(f"v{kill:02}", file=publisher.stdin, flush=True)
        spoken = [read(), read()]  # the process and its first version, in either order
        start = time.monotonic()
        assert read() == "published"
        one_build = time.monotonic() - start
        until = time.monotonic() + one_build * kill / KILLS
        while time.monotonic() < until:
            pass
        os.kill(int(next(word for word in spoken if word != "published")), signal.SIGKILL)
        while read() != "ended":
            pass

        half_written += any(tmp_path.glob(".*.tmp-*"))
        current = current_bundle(tmp_path)
        assert current.name.startswith(f"v{kill:02}-")
        for version in tmp_path.glob(f"v{kill:02}-*"):
            Manifest.read(version).verify(version)
    assert half_written, "no kill fell into the writing of a bundle: the drill proves nothing"
    publish(tmp_path, "last")
    assert current_bundle(tmp_path).name == "last"
    assert not [name for name in names(tmp_path) if name.startswith(".")]
