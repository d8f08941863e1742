"""Another version in place of the one being served, and back again."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol

from data_prep.errors import CommandError
from retrieval_server.api.errors import InvalidRequest, SwapRefused, SwapUnderWay, Violation

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
"""A version's name over the wire: that of a folder beside the one being served, never a path."""


@dataclass(frozen=True)
class SwapResult:
    """Versions before and after a swap.

    Attributes:
        version: being served now.
        previous: was served before; the same when there was nothing to do.
        seconds: that it took.
    """

    version: str
    previous: str
    seconds: float


class SwapControl(Protocol):
    """Swaps on an operator's call: `Swapper` in the process itself, or all workers of a supervisor together."""

    @property
    def previous(self) -> str:
        """The version that a rollback would serve, "" for none."""
        ...

    @property
    def count(self) -> int:
        """Swaps since the start, rollbacks counted."""
        ...

    def swap(self, version: str) -> SwapResult:
        """Serve another version."""
        ...

    def rollback(self) -> SwapResult:
        """Serve the version before the last swap."""
        ...


class Swapper:
    """Swaps versions, one swap at a time.

    Args:
        source: the server's `bundle` option: a version's folder, or a link to one. Versions are looked for beside
            it.
        current: the version being served.
        put: checks, loads and warms up the bundle in a folder and serves it; until its very last step nothing that is
            served is touched. Gives its version.

    Attributes:
        previous: the version that a rollback would serve, "" for none.
        count: swaps since the start, rollbacks counted.
    """

    def __init__(self, source: Path, current: Callable[[], str], put: Callable[[Path], str]) -> None:
        self._source = source.absolute()
        self._current = current
        self._put = put
        self._lock = Lock()
        self.previous = ""
        self.count = 0

    def swap(self, version: str) -> SwapResult:
        """Serve another version.

        Args:
            version: name of its folder, "" for whatever the source is now.

        Raises:
            NotReady: the first version is still loading.
            InvalidRequest: the name is none.
            SwapRefused: it cannot be served.
            SwapUnderWay: another swap is at work.
        """
        require_name(version)
        folder = self._source.parent / version if version else self._source
        with self._alone():
            return self._swapped(folder.resolve())

    def rollback(self) -> SwapResult:
        """Serve the version before the last swap.

        Raises:
            NotReady: the first version is still loading.
            SwapRefused: there was no swap, or that version cannot be served any more.
            SwapUnderWay: another swap is at work.
        """
        with self._alone():
            if not self.previous:
                raise SwapRefused("", "there was no swap to take back; name a version and call Swap")
            return self._swapped((self._source.parent / self.previous).resolve())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise SwapUnderWay
        try:
            yield
        finally:
            self._lock.release()

    def _swapped(self, folder: Path) -> SwapResult:
        started = time.monotonic()
        before = self._current()
        if folder.name == before:
            return SwapResult(before, before, time.monotonic() - started)
        try:
            version = self._put(folder)
        except CommandError as error:
            log.warning("refused to swap: %s", error)
            raise SwapRefused(folder.name, f"{error}; {before} is still being served") from error
        self.previous = before
        self.count += 1
        seconds = time.monotonic() - started
        log.info("swapped bundle %s for %s in %.1f s", before, version, seconds)
        return SwapResult(version, before, seconds)


def require_name(version: str) -> None:
    """Go on only with what may be the name of a version's folder, or "".

    Raises:
        InvalidRequest: it is a path, or no name at all.
    """
    if version and not NAME.fullmatch(version):
        cure = "is not the name of a version's folder; send a name such as 20261122T141500-3f2a91bc, not a path"
        raise InvalidRequest([Violation("version", cure)])
