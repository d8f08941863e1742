"""Where something was measured: the machine and our commit."""

import os
import platform
import subprocess
from pathlib import Path

from benchmarks.quality.measure import ROOT

WRITTEN = (
    "benchmarks/quality/results",
    "benchmarks/ann/results",
    "docs/benchmarks.md",
    "docs/images/quality.png",
    "docs/images/ann.png",
)
"""Files that a benchmark itself writes: they decide nothing that is measured after it."""


def git(*arguments: str) -> str:
    """Git's answer about our repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit() -> str:
    """Our commit, with "-dirty" behind it if the working tree differs in more than the files that benchmarks write."""
    changed = git("status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in WRITTEN))
    return git("rev-parse", "--short=10", "HEAD") + ("-dirty" if changed else "")


def machine() -> str:
    """System, cores, processor and Python."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores ({_processor()})"
    return f"{system}, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor unknown"
