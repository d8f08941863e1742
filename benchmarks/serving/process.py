"""Servers of the real command, in processes of their own, and their cost."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BANNER = re.compile(r"on (\S+:\d+),")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Running:
    """A server that said it was serving.

    Attributes:
        address: where.
        process: the process.
    """

    address: str
    process: subprocess.Popen[str]

    def resident(self) -> int:
        """Bytes of memory that it has to itself and shares."""
        return self._status("VmRSS") * 1024

    def threads(self) -> int:
        """Threads it has."""
        return self._status("Threads")

    def descriptors(self) -> int:
        """Files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu_seconds(self) -> float:
        """Processor time it has taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[0])


@contextmanager
def serving(bundle: Path, *overrides: str) -> Iterator[Running]:
    """A server over a bundle, for the length of a block."""
    with tempfile.TemporaryDirectory() as events:
        place = [f"bundle={bundle}", "port=0", f"events.folder={events}"]
        with _started([sys.executable, "-m", "retrieval_server", *place, *overrides]) as running:
            yield running


@contextmanager
def echoing(size: int) -> Iterator[Running]:
    """A bare gRPC server that answers everything with a message of some bytes."""
    with _started([sys.executable, "-m", "benchmarks.serving.echo", str(size)]) as running:
        yield running


@contextmanager
def _started(command: list[str]) -> Iterator[Running]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = BANNER.search(line)
        if found is None:
            raise SystemExit(f"{' '.join(command)} did not start: {line}")
        yield Running(found[1], process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
