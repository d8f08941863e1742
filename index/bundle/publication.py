"""A bundle becomes visible whole or not at all, and `current` names it last."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.command import GateFailed, UsageError
from data_prep.files import lock, new_directory, sync
from index.bundle.manifest import BundleError

CURRENT = "current"
LOCK = ".lock"

DISK_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""How the system words a full disk; FAISS, Arrow and safetensors quote it in exceptions of their own."""


@contextmanager
def building(bundles: Path, purpose: str) -> Iterator[None]:
    """Be the only build that writes to a folder of bundles, and clear up after builds that died.

    Args:
        bundles: the folder that holds the versions and `current`.
        purpose: shown to whoever finds the folder locked.

    Raises:
        Locked: another build is at work; the message names it.
        UsageError: `current` is not a symbolic link, so that no build could ever be published.
    """
    bundles.mkdir(parents=True, exist_ok=True)
    _check_link(bundles)
    with lock(bundles / LOCK, purpose):
        for leftover in bundles.glob(".*.tmp-*"):  # we hold the lock, so whoever made them is dead
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        yield


@contextmanager
def new_bundle(bundles: Path, version: str) -> Iterator[Path]:
    """Fill a folder out of sight; it appears as `bundles/version`, synced to disk, when the block ends well.

    Raises:
        GateFailed: the disk ran full; the folder is removed.
    """
    with disk_full_said(bundles / version), new_directory(bundles / version) as folder:
        yield folder


@contextmanager
def disk_full_said(path: Path) -> Iterator[None]:
    """Say that the disk ran full while `path` was written, in whatever words a library puts it.

    Raises:
        GateFailed: it did.
    """
    try:
        yield
    except Exception as error:
        if any(wording in str(error) for wording in DISK_FULL):
            raise GateFailed(f"the disk ran full while writing {path}: {error}") from error
        raise


def switch_current(bundles: Path, version: str) -> None:
    """Point `current` at a version, in one step: a reader sees the old one or the new one.

    Raises:
        UsageError: the version does not exist, or `current` is not a symbolic link.
    """
    if not (bundles / version).is_dir():
        raise UsageError(f"no bundle {bundles / version} to make current")
    _check_link(bundles)
    temporary = bundles / f".{CURRENT}.tmp-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version)  # relative, so that the whole folder can be moved
    temporary.replace(bundles / CURRENT)
    sync(bundles)


def current_bundle(bundles: Path) -> Path:
    """The folder of the version that `current` names.

    Args:
        bundles: the folder of bundles, `artifacts/bundles`.

    Raises:
        BundleError: nothing was published there yet, or `current` leads nowhere.
    """
    link = bundles / CURRENT
    if not link.is_dir():
        raise BundleError(f"no current bundle in {bundles}; `python -m index.build` makes one")
    return link.resolve()


def _check_link(bundles: Path) -> None:
    link = bundles / CURRENT
    if link.exists() and not link.is_symlink():
        raise UsageError(f"{link} is not a symbolic link; move it away, a build puts a link there")
