"""Processes that tests start: with the signals of a foreground command, and killed with all that they started.

A shell that puts a command into the background has it ignore SIGINT and SIGQUIT, and what ignores a signal hands that
on to its children. So a process that a test starts gets its signals set back, whatever the test run was started by.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]

MARK = "TWOTOWER_TEST_PROCESS"
"""Environment variable that every descendant of a test process inherits: the process id of that test process."""

HELPER = b"multiprocessing.resource_tracker"
"""Python's own helper of `multiprocessing`, which ends with the process that it helps."""

FOREGROUND = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


@contextmanager
def started(arguments: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own; at the end of the block it is killed, with all of its session.

    Args:
        arguments: the command line.
        options: of `subprocess.Popen`; text unless they say otherwise.
    """
    with _default_signals():
        process: subprocess.Popen[str] = subprocess.Popen(
            [str(argument) for argument in arguments], start_new_session=True, **{"text": True, "cwd": ROOT, **options}
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def run(
    arguments: Sequence[str | Path], timeout: float = 300.0, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """The finished run of a process, with all that it printed.

    Args:
        arguments: the command line.
        timeout: seconds until it is killed.
        check: whether an exit code other than 0 is an error.
        options: of `subprocess.Popen`.

    Raises:
        TimeoutExpired: it took longer.
        CalledProcessError: it failed, and that is to be checked.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(arguments, **{**pipes, **options}) as process:
        out, err = process.communicate(timeout=timeout)
    result = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        result.check_returncode()
    return result


def python(*arguments: str | Path) -> list[str]:
    """The command line of this Python."""
    return [sys.executable, *map(str, arguments)]


def left_behind(patience: float = 5.0) -> dict[int, str]:
    """Processes that descend from this one and still run: command line by process id. Empty where there is no /proc.

    Args:
        patience: seconds to wait for those that are about to end.
    """
    deadline = time.monotonic() + patience
    while (found := _descendants()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def kill(processes: dict[int, str]) -> None:
    """End processes that were left behind."""
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@contextmanager
def _default_signals() -> Iterator[None]:
    """Have a program that is executed in this block begin with default signals: those it would inherit as ignored
    are handled here meanwhile, and what handles a signal does not hand that on."""
    ignored = [number for number in FOREGROUND if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, _do_nothing)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Ignore a signal without handing that on."""


def _descendants() -> dict[int, str]:
    """Of this process: its children and theirs, and whatever bears its mark, also when its parent is gone."""
    parents, marked, lines = {}, set(), {}
    mark = f"{MARK}={os.getpid()}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            line = (folder / "cmdline").read_bytes()
            if state == "Z" or HELPER in line:
                continue
            number = int(folder.name)
            parents[number], lines[number] = int(parent), line.replace(b"\0", b" ").decode(errors="replace").strip()
            if mark in (folder / "environ").read_bytes():
                marked.add(number)
    found = marked
    while more := {number for number, parent in parents.items() if parent in found | {os.getpid()}} - found:
        found |= more
    return {number: lines[number] for number in sorted(found - {os.getpid()})}
