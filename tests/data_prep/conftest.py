"""Small shops made on the spot."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import load_config
from data_prep.config import CONFIG_FOLDER
from data_prep.dataset import Dataset
from data_prep.prepare import PrepareConfig, prepare
from data_prep.tables import Tables, event_table
from data_prep.text import with_texts

Prepare = Callable[..., Dataset]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CONFIG_FOLDER.parent)}


@pytest.fixture
def start_python(
    tmp_path: Path, start_process: Callable[..., subprocess.Popen[str]]
) -> Callable[..., subprocess.Popen[str]]:
    """Start Python with arguments in the temporary folder, on this checkout's packages."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return start_process([sys.executable, *arguments], cwd=tmp_path, env=ENVIRONMENT, **pipes)

    return start


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """Run a preparation in a temporary folder with overrides as on the command line."""

    def run(*overrides: str) -> Dataset:
        folder = f"artifacts={tmp_path / 'artifacts'}"
        return prepare(load_config(PrepareConfig, "prepare", [folder, *overrides]))

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the temporary folder."""

    def to(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


@pytest.fixture
def made_tables() -> Callable[..., Tables]:
    """Tables out of `(user, item, day of 2024)` triples."""

    def make(rows: Sequence[tuple[str | None, str | None, int]], event: str = "purchase") -> Tables:
        frame = pd.DataFrame(rows, columns=["user", "item", "day"])
        times = (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(frame["day"], unit="D")).astype(
            "datetime64[us, UTC]"
        )
        events = event_table(frame["user"], frame["item"], times, event)
        ids = pd.Series(sorted({item for _, item, _ in rows if item is not None}), dtype="str")
        return Tables(items=with_texts(pd.DataFrame({"item_id": ids}), None), events=events)

    return make
