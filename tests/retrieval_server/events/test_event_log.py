"""The durable log: what is acknowledged is there, whatever happens; what is torn is skipped and counted."""

import errno
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from retrieval_server.api.errors import NotRecorded
from retrieval_server.events.event_log import EventLog, LogUnavailable, read, segments
from retrieval_server.events.memory_event_store import SNAPSHOT, MemoryStore
from retrieval_server.events.recording import RecordedCounts, Recorder
from retrieval_server.events.user_events import UserEvent
from tests import processes

ROOT = Path(__file__).parents[3]


def event(number: int, user: str = "ann") -> UserEvent:
    return UserEvent(f"e{number}", user, f"item-{number}", "view", float(number))


def recorder(folder: Path, sync_seconds: float = 0.0, segment_bytes: int = 10**6, **bounds: int) -> Recorder:
    store = MemoryStore(**{"users": 100, "events": 100, "event_ids": 1000, **bounds})
    return Recorder(store, EventLog(folder, sync_seconds, segment_bytes))


def logged(folder: Path) -> list[UserEvent]:
    return [found for segment in segments(folder) for found in read(segment).events]


@pytest.mark.parametrize("sync_seconds", [0.0, 1.0])
def test_a_kill_at_any_moment_loses_no_acknowledged_event(tmp_path: Path, sync_seconds: float) -> None:
    for kill in range(4):
        arguments = processes.python(Path(__file__).parent / "record_forever.py", tmp_path, str(sync_seconds))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with processes.started(arguments, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            head = [process.stdout.readline() for _ in range(40 + 17 * kill)]
            process.kill()
            acknowledged = {line.strip() for line in [*head, *process.stdout] if line.endswith("\n")}
        assert acknowledged <= {found.event_id for found in logged(tmp_path)}
        assert len(acknowledged) >= 40
        for segment in segments(tmp_path):
            segment.unlink()


def test_a_torn_tail_is_skipped_and_counted_and_what_is_written_next_is_whole(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    first.record([event(1), event(2)])
    first.log.close()  # as a kill leaves it: no snapshot
    (segment,) = segments(tmp_path)
    content = segment.read_bytes()
    segment.write_bytes(content[:-7])
    second = recorder(tmp_path)
    assert second.skipped == 1
    assert [found.event_id for found in second.recent("ann")] == ["e1"]
    assert second.record([event(2), event(3)]) == RecordedCounts(2, 0)
    second.close()
    third = recorder(tmp_path)
    assert [found.event_id for found in third.recent("ann")] == ["e1", "e2", "e3"]
    third.close()


@pytest.mark.parametrize("place", [0, 5, 40, 80, -3])
def test_a_damaged_line_is_skipped_and_counted_and_the_others_are_read(tmp_path: Path, place: int) -> None:
    log = EventLog(tmp_path, 0.0, 10**6)
    log.append([event(1), event(2), event(3)])
    log.close()
    (segment,) = segments(tmp_path)
    lines = segment.read_bytes().splitlines(keepends=True)
    middle = bytearray(lines[1])
    middle[place] ^= 1
    segment.write_bytes(lines[0] + bytes(middle) + lines[2])
    found = read(segment)
    assert [one.event_id for one in found.events] == ["e1", "e3"]
    assert found.skipped == 1


def test_an_event_is_recorded_once_however_often_it_is_sent_also_after_a_restart(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    assert first.record([event(1), event(2), event(1)]) == RecordedCounts(2, 1)
    assert first.record([event(2), event(3)]) == RecordedCounts(1, 1)
    first.close()
    second = recorder(tmp_path)
    assert second.record([event(1), event(2), event(3)]) == RecordedCounts(0, 3)
    second.close()
    assert [found.event_id for found in logged(tmp_path)] == ["e1", "e2", "e3"]


def test_a_clean_stop_leaves_a_snapshot_and_the_next_start_reads_only_what_came_after(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    first.record([event(1)])
    first.close()
    (segment,) = segments(tmp_path)
    segment.write_bytes(b"x" * segment.stat().st_size)  # were it read, nothing would be found
    second = recorder(tmp_path)
    assert second.recent("ann") == [event(1)]
    assert second.skipped == 0
    second.record([event(2)])
    second.log.close()
    third = recorder(tmp_path)
    assert third.recent("ann") == [event(1), event(2)]
    third.close()


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1, 2]", b'{"crc32": 1, "content": {}}'])
def test_a_damaged_snapshot_is_told_and_the_log_is_read_instead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    first = recorder(tmp_path)
    first.record([event(1)])
    first.close()
    (tmp_path / SNAPSHOT).write_bytes(damage)
    second = recorder(tmp_path)
    assert second.recent("ann") == [event(1)]
    assert "the whole log is read instead" in caplog.text
    second.close()


def test_segments_end_at_their_size_and_sort_in_the_order_of_writing(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 0.0, segment_bytes=200)
    for number in range(12):
        log.append([event(number)])
    log.close()
    assert len(list(segments(tmp_path))) > 3
    assert [found.event_id for found in logged(tmp_path)] == [f"e{number}" for number in range(12)]


def test_the_store_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    small = recorder(tmp_path, users=2, events=3, event_ids=4)
    small.record([event(number) for number in range(5)])
    assert [found.event_id for found in small.recent("ann")] == ["e2", "e3", "e4"]
    small.record([event(10, "bob"), event(11, "cy")])
    assert small.recent("ann") == []
    assert small.recent("bob") and small.recent("cy")
    small.close()


def test_events_that_come_late_take_their_place_in_time(tmp_path: Path) -> None:
    late = recorder(tmp_path)
    late.record([event(5), event(3)])
    late.record([event(4)])
    assert [found.event_id for found in late.recent("ann")] == ["e3", "e4", "e5"]
    late.close()


def test_a_disk_that_is_full_refuses_the_events_and_leaves_the_log_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = recorder(tmp_path)
    full.record([event(1)])
    write = os.write

    def half_a_line(descriptor: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[: len(content) - 10])

    monkeypatch.setattr(os, "write", half_a_line)
    with pytest.raises(NotRecorded, match="No space left"):
        full.record([event(2)])
    monkeypatch.undo()
    assert full.record([event(2), event(3)]) == RecordedCounts(2, 0)
    full.close()
    assert [found.event_id for found in logged(tmp_path)] == ["e1", "e2", "e3"]


def test_a_disk_that_loses_what_it_was_given_refuses_every_event_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = recorder(tmp_path)

    def lost(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", lost)
    for number in range(2):
        with pytest.raises(NotRecorded, match="cannot be forced to the disk"):
            broken.record([event(number)])


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LogUnavailable, match="cannot be logged"):
        EventLog(tmp_path / "file", 0.0, 100)


def test_data_preparation_reads_the_log_as_it_is(tmp_path: Path) -> None:
    log = EventLog(tmp_path, 0.0, 10**6)
    log.append([event(1), UserEvent("e2", "naïve\n牛", 'say "cheese"', "", 2.5)])
    log.close()
    (segment,) = segments(tmp_path)
    table = pd.read_json(segment, lines=True, dtype=False)
    assert table["user_id"].tolist() == ["ann", "naïve\n牛"]
    assert table["item_id"].tolist() == ["item-1", 'say "cheese"']
    assert len(segment.read_bytes().splitlines()) == 2
