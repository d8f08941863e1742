"""Files that are whole or absent: checksums, atomic writes, folders that appear at once, locks."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.errors import GateFailed, Locked


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb", buffering=0) as file:  # it has a buffer of its own
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: str) -> str:
    """Sixteen hex digits that stand for the parts in their order; `("ab", "c")` and `("a", "bc")` differ."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that a reader sees the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Fill a folder out of sight and let it appear under its name at once, with everything on disk.

    Yields a temporary sibling, `.{name}.tmp-{pid}`. When the block ends well, every file and folder in it
    is fsynced and it is renamed to `target`; an earlier one is replaced. When the block raises,
    the temporary folder goes away. What a killed process left beside the target is cleared up first.

    Raises:
        GateFailed: the disk ran full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target.parent)
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    descriptor = _make_locked(temporary)
    try:
        yield temporary
        for folder, _, names in os.walk(temporary, topdown=False):
            for name in names:
                sync(Path(folder, name))
            sync(Path(folder))
        _publish(temporary, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise GateFailed(f"the disk ran full while {target} was written; make room and run again") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def lock(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock file while the block runs; the lock of a process that died is free at once.

    Args:
        path: the lock file; it stays behind, empty of meaning, for the next owner.
        purpose: of the lock, for the message of whoever comes next: "prepare artifacts/data/shop".

    Raises:
        Locked: another process holds it; the message names its purpose, pid, host and since when.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "an owner that has not signed yet"
            raise Locked(f"{path} is held by {owner}; wait for it to end, or end it") from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.truncate(0)
        file.write(f"'{purpose}', pid {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
        yield


def require_space(folder: Path, need_bytes: int) -> None:
    """Refuse to start a job whose files the disk cannot hold.

    Raises:
        GateFailed: less than `need_bytes` are free where `folder` is or will be.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < need_bytes:
        raise GateFailed(
            f"{folder} needs {_megabytes(need_bytes)}, {_megabytes(free)} free: make room or write elsewhere"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_locked(folder: Path) -> int:
    """Make a folder and hold a lock on it, which tells it from a dead process's leftover."""
    shutil.rmtree(folder, ignore_errors=True)
    while True:
        folder.mkdir()
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():  # else a neighbour cleared it up between the two calls
            return descriptor
        os.close(descriptor)


def _publish(temporary: Path, target: Path) -> None:
    """Rename a finished folder into place. A folder cannot replace a full one, so the old one steps aside."""
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _clear_leftovers(folder: Path) -> None:
    """Remove half-written files of killed processes, and put back the folder that one of them had set aside."""
    for aside in folder.glob(".*.old-*"):
        target = aside.with_name(aside.name[1:].rpartition(".old-")[0])
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(target)
    for leftover in folder.glob(".*.tmp-*"):
        if leftover.is_dir() and _is_abandoned(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        finally:
            os.close(descriptor)
    return False
