"""The cost of a training: seconds on the clock, seconds of the processors, and the most memory it held."""

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback

_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of one unit of ru_maxrss


class CostMeter(Callback):
    """Counts from when it is made; as a callback it travels in the checkpoints.

    A training that is resumed so adds to what was spent up to its checkpoint. What a kill threw away is not counted.
    """

    def __init__(self) -> None:
        self._before = {"wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_mb": 0.0}
        self._wall, self._cpu = time.monotonic(), _cpu_seconds()
        _forget_peak()

    def spent(self) -> dict[str, float]:
        """`wall_seconds`, `cpu_seconds` (this process and its ended children), `peak_memory_mb` (resident, 10^6 bytes).

        The peak is this training's own on Linux; elsewhere the process's, which earlier trials of a sweep may have set.
        """
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / 1e6
        return {
            "wall_seconds": self._before["wall_seconds"] + time.monotonic() - self._wall,
            "cpu_seconds": self._before["cpu_seconds"] + _cpu_seconds() - self._cpu,
            "peak_memory_mb": max(self._before["peak_memory_mb"], peak),
        }

    def state_dict(self) -> dict[str, Any]:
        return self.spent()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = {name: float(state_dict[name]) for name in self._before}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _forget_peak() -> None:
    """Let the peak start from what is held now; only Linux can, and a container may forbid it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
