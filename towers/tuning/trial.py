"""One training as a process of its own: its memory is given back, its crash is its own, Ctrl-C reaches it gently."""

import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from data_prep.errors import ExitCode, Locked
from towers.model.run_record import RunRecord
from towers.tuning.trials import note_failure

log = logging.getLogger(__name__)

LOG = "log.txt"
PATIENCE = 60
"""Seconds a training gets to stop by itself after Ctrl-C."""

PLAIN = re.compile(r"[A-Za-z_][\w./-]*")


def typed_value(value: Any) -> str:
    """A value as it would be typed in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(typed_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{k}:{typed_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return "'" + value.replace("'", r"\'") + "'"
    return str(value)


def run_training(folder: Path, overrides: Sequence[str]) -> bool:
    """Train in a process of its own, on from its checkpoint if there is one.

    Args:
        folder: of the run; what the process says goes to `log.txt` in it.
        overrides: of `towers.train`.

    Returns:
        Whether there is a finished run; if not, `failure.json` in the folder says why.

    Raises:
        Locked: a process that outlived a killed tuning still trains this run.
        KeyboardInterrupt: after the process was stopped.
    """
    if RunRecord.finished(folder):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    overrides = [*overrides, f"hydra.run.dir={typed_value(str(folder))}", "resume=true"]
    command = [sys.executable, "-m", "towers.train", *overrides]
    with (folder / LOG).open("ab") as output:
        begins = output.tell()
        # Out of the terminal's reach, so that one Ctrl-C reaches it once and from here.
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    if RunRecord.finished(folder):
        return True
    reason = _reason(folder / LOG, begins, code)
    if code == ExitCode.LOCKED:
        raise Locked(f"{reason} (a training that a killed tuning left behind); then run this again")
    note_failure(folder, reason)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let a training stop as after Ctrl-C, and end it if it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(path: Path, begins: int, code: int) -> str:
    """The last error of a process, from its output."""
    lines = path.read_bytes()[begins:].decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{ended}: {last}; see {path}" if last else f"{ended}; see {path}"


@contextmanager
def terminations_as_interrupts() -> Iterator[None]:
    """Take SIGTERM and a closed terminal as Ctrl-C, so that the training at hand is stopped too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
