"""The durable log of events: JSON lines that `data_prep` can read, each with its own checksum.

A process writes segments of its own and never appends to an older one, so what a kill left torn stays where it is, at
the end of a segment, to be skipped by every reader.
"""

import json
import os
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Condition, Thread

from retrieval_server.events.user_events import UserEvent

SUFFIX = ".jsonl"
CHECKSUM = ', "crc32": "'


class LogUnavailable(Exception):
    """Events cannot be written down; the message says why."""


@dataclass(frozen=True)
class SegmentContents:
    """Contents of a segment beyond an offset.

    Attributes:
        events: the events, in the order they were written.
        end: offset of the first byte that no whole line covers.
        skipped: lines that are torn or damaged.
    """

    events: Sequence[UserEvent]
    end: int
    skipped: int


class EventLog:
    """Appends events to a folder of segments.

    Every event is in the operating system's hands before `append` returns, so a kill of the process loses none. A power
    cut loses at most what `sync_seconds` allows.

    Args:
        folder: where segments are; made if need be.
        sync_seconds: how long an acknowledged event may wait to be forced to the disk; 0 for not at all.
        segment_bytes: size at which another segment is begun.

    Attributes:
        folder: as given.
        written: size in bytes of each segment that this process wrote, by name.

    Raises:
        LogUnavailable: the folder cannot be written to.
    """

    def __init__(self, folder: Path, sync_seconds: float, segment_bytes: int) -> None:
        self.folder = folder
        self._sync_seconds = sync_seconds
        self._segment_bytes = segment_bytes
        self._state = Condition()
        self.written: dict[str, int] = {}
        self._written = 0  # bytes handed to the operating system, all segments together
        self._synced = 0  # of those, on the disk
        self._failed: OSError | None = None
        self._closing = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._name, self._descriptor = self._new_segment()
        except OSError as error:
            raise LogUnavailable(f"events cannot be logged to {folder}: {error.strerror}") from error
        self._syncing = Thread(target=self._sync, name="event-log", daemon=True)
        self._syncing.start()

    def append(self, events: Sequence[UserEvent]) -> None:
        """Write events down; on return they are as safe as the log promises.

        Raises:
            LogUnavailable: they could not be, and none of them is in the log.
        """
        lines = b"".join(_line(event) for event in events)
        with self._state:
            if self._closing:
                raise LogUnavailable("the server is stopping")
            self._require_sound()
            self._write(lines)
            self._state.notify_all()
            if not self._sync_seconds:
                end = self._written
                self._state.wait_for(lambda: self._synced >= end or self._failed is not None)
                self._require_sound()

    def close(self) -> None:
        """Force everything to the disk and end."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._syncing.join()
        os.close(self._descriptor)

    def _require_sound(self) -> None:
        if self._failed is not None:
            raise LogUnavailable(f"events cannot be forced to the disk: {self._failed.strerror}")

    def _write(self, lines: bytes) -> None:
        """Write whole lines or nothing: what a full disk cut off is taken back."""
        try:
            if self.written[self._name] >= self._segment_bytes:
                os.fsync(self._descriptor)
                full = self._descriptor
                self._name, self._descriptor = self._new_segment()
                os.close(full)
            written = 0
            while written < len(lines):
                written += os.write(self._descriptor, lines[written:])
        except OSError as error:
            with suppress(OSError):  # what stays of a torn line is skipped by every reader
                os.ftruncate(self._descriptor, self.written[self._name])
            raise LogUnavailable(f"events cannot be logged to {self.folder}: {error.strerror}") from error
        self.written[self._name] += len(lines)
        self._written += len(lines)

    def _sync(self) -> None:
        """Force to the disk what was written: one call to the system for all who wait at that moment."""
        while True:
            with self._state:
                self._state.wait_for(lambda: self._written > self._synced or self._closing)
                if self._written == self._synced:
                    return
                if self._sync_seconds and not self._closing:
                    self._state.wait_for(lambda: self._closing, timeout=self._sync_seconds / 2)
                end, descriptor = self._written, os.dup(self._descriptor)
            try:
                os.fsync(descriptor)
            except OSError as error:
                with self._state:
                    self._failed = error
                    self._state.notify_all()
                return
            finally:
                os.close(descriptor)
            with self._state:
                self._synced = end
                self._state.notify_all()

    def _new_segment(self) -> tuple[str, int]:
        """A new segment's name, by which segments sort in time, and its descriptor."""
        now = time.time_ns()
        second = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
        name = f"{second}.{now % 10**9:09}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name has to survive a power cut as well
        finally:
            os.close(folder)
        self.written[name] = 0
        return name, descriptor


def segments(folder: Path) -> Iterator[Path]:
    """The segments of a log, oldest first."""
    yield from sorted(folder.glob(f"*{SUFFIX}"))


def read(segment: Path, start: int = 0) -> SegmentContents:
    """The events of a segment from an offset on, damaged lines skipped and counted."""
    content = segment.read_bytes()[start:]
    lines = content.split(b"\n")
    torn = lines.pop()
    events = [_event(line) for line in lines]
    whole = [event for event in events if event is not None]
    skipped = len(events) - len(whole) + bool(torn)
    return SegmentContents(whole, start + len(content) - len(torn), skipped)


def _line(event: UserEvent) -> bytes:
    body = json.dumps(asdict(event))
    return f'{body[:-1]}{CHECKSUM}{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def _event(line: bytes) -> UserEvent | None:
    """The event of a line, None for a damaged one."""
    try:
        body, _, end = line.decode("ascii").rpartition(CHECKSUM)
        body += "}"
        if int(end.removesuffix('"}'), 16) != zlib.crc32(body.encode()):
            return None
        return UserEvent(**json.loads(body))
    except (ValueError, TypeError):
        return None
