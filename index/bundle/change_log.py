"""The log of changes in a catalogue since its bundle was built: appended to, never rewritten."""

import base64
import fcntl
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from data_prep.files import sync

log = logging.getLogger(__name__)

CHANGES = "changes.log"
"""Name of the log in the folder of bundles."""

DIGITS = 16
"""Hex digits of a record's checksum."""


@dataclass(frozen=True)
class Change:
    """An item that was put in, changed or taken out.

    Attributes:
        item_id: the item.
        item: its columns; None for one that was taken out.
        sentence: raw sentence vector of its text, base64 of little-endian float32; None for one that was taken out.
        encoder: mark of the text encoder that made it; another one encodes the text again.
        time: when it was logged, UTC, ISO 8601.
        number: position in the log, from 1.
        log: mark of the log.
    """

    item_id: str
    item: Mapping[str, Any] | None
    sentence: str | None = None
    encoder: str = ""
    time: str = ""
    number: int = 0
    log: str = ""

    @classmethod
    def upsert(cls, item: Mapping[str, Any], sentence: NDArray[np.float32], encoder: str) -> Self:
        """An item put in, in the place of the one that had its id."""
        encoded = base64.b64encode(np.ascontiguousarray(sentence, "<f4").tobytes()).decode("ascii")
        return cls(str(item["item_id"]), item, encoded, encoder)

    @classmethod
    def delete(cls, item_id: str) -> Self:
        """An item taken out."""
        return cls(item_id, None)

    def sentence_by(self, encoder: str) -> NDArray[np.float32] | None:
        """The sentence vector, [text_dim], if that text encoder made it."""
        if self.sentence is None or self.encoder != encoder:
            return None
        return np.frombuffer(base64.b64decode(self.sentence), "<f4")


@dataclass(frozen=True)
class Merged:
    """Which changes a bundle holds already: those of one log, up to a number."""

    log: str
    number: int

    def has(self, change: Change) -> bool:
        """Whether a change is among them."""
        return change.log == self.log and change.number <= self.number


class ChangeLog:
    """A file with one line for each change: a checksum, and the change as JSON.

    A line is on disk before `append` returns. A line that was cut short by a crash, or damaged since, is passed over
    and counted. Processes may share a log: each reads on from where it was. Not for several threads at once.

    Args:
        path: the file; made when something is first appended.

    Attributes:
        id: mark of the log; "" until there is one.
        last: number of the newest change read or written.
        damaged: lines passed over.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self.id, self.last, self.damaged = "", 0, 0
        self._end = 0  # of what was read
        self._torn = -1  # where a line cut short begins, so that it is counted once

    def read_on(self) -> list[Change]:
        """The changes since the last time, oldest first."""
        if not self.path.exists():
            self._forget()
            return []
        with self.path.open("rb", buffering=0) as file, _locked(file, fcntl.LOCK_SH):
            return self._read(file)

    def append(self, changes: Sequence[Change]) -> list[Change]:
        """Write changes so that they survive a crash.

        Returns:
            what others wrote since the last time, then these, with time and number.

        Raises:
            GateFailed: the disk is full; nothing of it is logged.
        """
        with self.path.open("a+b", buffering=0) as file, _locked(file, fcntl.LOCK_EX):
            others = self._read(file)
            size = os.fstat(file.fileno()).st_size
            if size > self._end:
                file.truncate(self._end)  # a line cut short, whose writer is gone: we hold the lock
            mark = self.id or uuid.uuid4().hex[:DIGITS]
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            numbered = enumerate(changes, self.last + 1)
            lines = [_line(replace(change, time=now, number=number, log=mark)) for number, change in numbered]
            self._write(file, b"".join(lines))
            if self._end == 0:
                sync(self.path.parent)
            return others + self._read(file)

    def _write(self, file: FileIO, lines: bytes) -> None:
        try:
            left = memoryview(lines)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(self._end)
            raise GateFailed(f"{self.path} cannot be written: {error.strerror}; nothing was changed") from error

    def _read(self, file: FileIO) -> list[Change]:
        if os.fstat(file.fileno()).st_size < self._end:  # another file took its place
            log.warning("%s was replaced by another log", self.path)
            self._forget()
        file.seek(self._end)
        whole, newline, torn = file.read().rpartition(b"\n")
        changes = []
        for line in whole.split(b"\n") if newline else []:
            change = _parsed(line)
            if change is None:
                self._pass_over("a damaged line")
            else:
                changes.append(change)
                self.id, self.last = change.log, change.number
        self._end += len(whole) + len(newline)
        if torn and self._torn != self._end:
            self._torn = self._end
            self._pass_over("a line cut short")
        return changes

    def _pass_over(self, line: str) -> None:
        self.damaged += 1
        log.warning("%s: %s after change %d is passed over", self.path, line, self.last)


def _line(change: Change) -> bytes:
    value = json.dumps(asdict(change), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return _checksum(value) + b" " + value + b"\n"


def _parsed(line: bytes) -> Change | None:
    checksum, _, value = line.partition(b" ")
    if checksum != _checksum(value):
        return None
    return Change(**json.loads(value.decode("utf-8", "surrogatepass")))


def _checksum(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest()[:DIGITS].encode("ascii")


@contextmanager
def _locked(file: FileIO, how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
