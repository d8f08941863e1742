"""The log of changes: on disk before it is acknowledged, and whatever is damaged is passed over and counted."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from data_prep.errors import GateFailed
from index.bundle.change_log import Change, ChangeLog, Merged
from tests import processes

ROOT = Path(__file__).parents[3]


def put(item_id, text="text"):
    return Change.upsert({"item_id": item_id, "text": text}, np.arange(3, dtype=np.float32), "encoder")


def ids(changes):
    return [change.item_id for change in changes]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "changes.log"


def test_what_is_written_is_read_in_order_with_numbers(path):
    log = ChangeLog(path)
    log.append([put("a"), put("b\n€\udcff")])
    log.append([Change.delete("a")])
    read = ChangeLog(path).read_on()
    assert ids(read) == ["a", "b\n€\udcff", "a"]
    assert [change.number for change in read] == [1, 2, 3]
    assert read[2].item is None and read[0].item == {"item_id": "a", "text": "text"}
    np.testing.assert_array_equal(read[0].sentence_by("encoder"), [0, 1, 2])
    assert read[0].sentence_by("another") is None
    assert {change.log for change in read} == {log.id}


def test_a_log_that_is_not_there_is_empty(path):
    assert ChangeLog(path).read_on() == []


def test_each_reads_on_from_where_it_was(path):
    one, other = ChangeLog(path), ChangeLog(path)
    one.append([put("a")])
    assert ids(other.read_on()) == ["a"]
    assert ids(other.append([put("b")])) == ["b"]
    assert ids(one.append([put("c")])) == ["b", "c"]
    assert ids(other.read_on()) == ["c"] and other.read_on() == []
    assert other.last == 3


def test_a_merged_change_is_known_by_log_and_number(path):
    first, second = ChangeLog(path).append([put("a"), put("b")])
    merged = Merged(first.log, 1)
    assert merged.has(first) and not merged.has(second)
    assert not Merged("another", 9).has(first)


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_line_cut_short_is_passed_over_counted_and_written_over(path, cut):
    ChangeLog(path).append([put("a"), put("b")])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    log = ChangeLog(path)
    assert ids(log.read_on()) == ["a"] and log.damaged == 1
    assert log.read_on() == [] and log.damaged == 1
    assert ids(log.append([put("c")])) == ["c"]
    again = ChangeLog(path)
    assert ids(again.read_on()) == ["a", "c"] and again.damaged == 0


def test_every_flipped_bit_costs_no_more_than_its_own_line(path):
    ChangeLog(path).append([put("a"), put("b"), put("c")])
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    end = whole.index(b"\n", second)
    rng = np.random.default_rng(0)
    for place in rng.integers(second * 8, end * 8, 300):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        log = ChangeLog(path)
        assert ids(log.read_on()) == ["a", "c"] and log.damaged >= 1


def test_another_log_in_its_place_is_read_from_the_start(path):
    log = ChangeLog(path)
    log.append([put("a"), put("b")])
    former = log.id
    path.unlink()
    assert log.read_on() == []
    assert ids(log.append([put("c")])) == ["c"]
    assert log.last == 1 and log.id != former


FILL_THE_DISK = """
import resource, sys
from pathlib import Path
from index.bundle.change_log import Change, ChangeLog
from data_prep.errors import GateFailed

log = ChangeLog(Path(sys.argv[1]))
log.append([Change("a", {"text": "short"})])
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    log.append([Change("b", {"text": "long" * 5_000})])
except GateFailed as error:
    print(error)
print(log.append([Change("c", None)])[0].number)
"""


def test_a_full_disk_is_said_and_leaves_the_log_as_it_was(path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = processes.run(processes.python("-c", FILL_THE_DISK, path), timeout=60, env=environment)
    said, number = done.stdout.splitlines()
    assert "cannot be written: File too large; nothing was changed" in said and number == "2"
    log = ChangeLog(path)
    assert ids(log.read_on()) == ["a", "c"] and log.damaged == 0


def write_for_ever(path, ready):
    log = ChangeLog(path)
    for number in range(10**9):
        log.append([put(f"{number}")])
        ready.send_bytes(str(number).encode())


def test_a_writer_killed_at_any_moment_loses_nothing_that_it_reported_as_logged(path):
    context = multiprocessing.get_context("fork")
    for kill in range(10):
        path.unlink(missing_ok=True)
        receiver, sender = context.Pipe(duplex=False)
        writer = context.Process(target=write_for_ever, args=(path, sender))
        writer.start()
        try:
            sender.close()
            for _ in range(1 + 3 * kill):
                receiver.recv_bytes()
        finally:
            writer.kill()
            writer.join()
        logged = 3 * kill
        while receiver.poll():
            try:
                logged = int(receiver.recv_bytes())
            except EOFError:
                break
        found = ids(ChangeLog(path).read_on())
        assert found == [str(number) for number in range(len(found))] and len(found) > logged


def test_a_log_that_cannot_be_written_says_so(path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    log = ChangeLog(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GateFailed, match=r"changes\.log cannot be written: No space left on device"):
        log.append([put("a")])
    monkeypatch.undo()
    assert ids(log.append([put("b")])) == ["b"]
