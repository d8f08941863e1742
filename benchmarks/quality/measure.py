"""A command as a child process, with its cost."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import GateFailed

ROOT = Path(__file__).resolve().parents[2]
TAIL = 15


@dataclass(frozen=True)
class Cost:
    """The cost of a command.

    Attributes:
        seconds: of wall-clock time, from start to end.
        cpu_seconds: of processor time, its children's included; other work on the machine adds little to it.
        peak_mb: largest resident set, MiB.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(command: list[str], log: Path, threads: int, module_path: Path | None = ROOT) -> Cost:
    """Run a command in the repository's root.

    Args:
        command: program and arguments.
        log: file that takes all it prints.
        threads: of its numerical libraries.
        module_path: where it imports from besides its own environment.

    Raises:
        GateFailed: it did not exit with 0.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": str(threads)}
    if module_path is not None:
        environment["PYTHONPATH"] = str(module_path)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)  # the only call that tells this child's memory from its siblings'
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])
        raise GateFailed(f"{' '.join(command)}\nexited with {child.returncode}; the end of {log}:\n{tail}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
