"""Checksums, atomic writes, folders that appear at once, locks, room on disk."""

import errno
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from data_prep.command import GateFailed, Locked
from data_prep.files import fingerprint, lock, new_directory, read_json, require_space, sha256, write_json

Start = Callable[..., subprocess.Popen[str]]

DIE_IN_NEW_DIRECTORY = """
import os, sys
from pathlib import Path
from data_prep.files import new_directory
with new_directory(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("written")
    os.kill(os.getpid(), 9)
"""

HOLD_LOCK = """
import sys
from pathlib import Path
from data_prep.files import lock
with lock(Path(sys.argv[1]), "build the index"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_fingerprints_are_equal_for_equal_parts_only(left: list[str], right: list[str]) -> None:
    assert (fingerprint(*left) == fingerprint(*right)) == (left == right)
    assert len(fingerprint(*left)) == 16


def test_json_survives_the_round_trip_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    value = {"name": "Bücher", "rows": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert read_json(tmp_path / "a.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_new_directory_is_invisible_until_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "made" / "v1"
    with new_directory(target) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert not target.exists()
        assert folder.name == f".v1.tmp-{os.getpid()}"
    assert (target / "deep" / "file").read_text() == "x"
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


def test_a_new_directory_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with new_directory(tmp_path / "v1") as folder:
            (folder / name).write_text(name)
    assert [path.name for path in (tmp_path / "v1").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_an_exception_leaves_the_old_directory_and_nothing_else(tmp_path: Path) -> None:
    with new_directory(tmp_path / "v1") as folder:
        (folder / "old").write_text("old")
    with pytest.raises(KeyboardInterrupt), new_directory(tmp_path / "v1") as folder:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "v1").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_a_disk_that_runs_full_is_a_failed_gate_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"ran full while .*v1 was written"), new_directory(tmp_path / "v1"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_up_and_a_living_one_is_spared(
    start_python: Start, tmp_path: Path
) -> None:
    died = start_python("-c", DIE_IN_NEW_DIRECTORY, str(tmp_path / "v1"))
    died.communicate(timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert not (tmp_path / "v1").exists()
    assert len(list(tmp_path.glob(".v1.tmp-*"))) == 1
    with new_directory(tmp_path / "v2") as living, new_directory(tmp_path / "v3"):
        assert living.exists()
        assert not list(tmp_path.glob(".v1.tmp-*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v2", "v3"]


def test_a_directory_set_aside_by_a_process_that_died_between_two_renames_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".v1.old-12345").mkdir()
    (tmp_path / ".v1.old-12345" / "file").write_text("precious")
    with new_directory(tmp_path / "v2"):
        pass
    assert (tmp_path / "v1" / "file").read_text() == "precious"


def test_a_lock_names_its_owner_while_held_and_is_free_once_that_is_killed(start_python: Start, tmp_path: Path) -> None:
    path = tmp_path / "locks" / "build.lock"
    owner = start_python("-c", HOLD_LOCK, str(path))
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    with pytest.raises(Locked, match=f"'build the index', pid {owner.pid} on .+ since 20"), lock(path, "mine"):
        pass
    owner.kill()
    owner.communicate(timeout=60)
    with lock(path, "mine"):
        assert "'mine'" in path.read_text()


def test_a_lock_can_be_taken_again_after_its_release(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path / "a.lock", "work"):
            pass


def test_too_little_room_is_refused_with_need_and_have(tmp_path: Path) -> None:
    require_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(GateFailed, match=r"needs 1,000,000,000,000\.0 MB, [\d,.]+ MB free"):
        require_space(tmp_path / "not" / "yet", 10**18)
