"""Sweeps and tunings as processes that are killed and run again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


Start = Callable[[str, list[str]], subprocess.Popen[str]]


@pytest.fixture
def start(start_process: Callable[..., subprocess.Popen[str]]) -> Start:
    """Starts commands, whose output and errors come in one stream."""

    def start_module(module: str, arguments: list[str]) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return start_process([sys.executable, "-m", module, *arguments], **pipes)

    return start_module


def wait_for(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 500
    while not happened() and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    assert happened()


def epochs(run: Path) -> list[Path]:
    return list(run.glob("checkpoints/epoch-*.ckpt"))


def test_a_killed_sweep_keeps_what_is_finished_goes_on_with_what_is_half_done_and_begins_the_rest(
    start: Start, tiny_train_overrides: list[str], artifacts: Path
):
    fixed = [o for o in tiny_train_overrides if not o.startswith("trainer.epochs")]
    sweep = ["-m", *fixed, "trainer.patience=100000", "run=killed_sweep", "resume=true"]
    folder = artifacts / "runs" / "killed_sweep"
    process = start("towers.train", [*sweep, "trainer.epochs=1,100000,2"])
    wait_for(lambda: len(epochs(folder / "1")) == 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = (folder / "0" / "run.json").read_bytes()
    assert not (folder / "1" / "run.json").exists()
    assert not (folder / "2").exists()

    process = start("towers.train", [*sweep, "trainer.epochs=1,3,2"])
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert f"{folder / '0'} is finished: kept as it is" in said
    assert len(re.findall(r"going on from .*/killed_sweep/1/checkpoints/epoch-", said)) == 1
    assert (folder / "0" / "run.json").read_bytes() == finished
    assert all((folder / trial / "run.json").is_file() for trial in "012")
    assert len([line for line in said.splitlines() if line.startswith("│")]) == 3

    process = start("towers.sweep_report", [f"folder={folder}"])
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert (folder / "report.md").is_file()


def test_a_search_ends_with_130_after_ctrl_c_and_goes_on_even_after_a_kill(
    start: Start, tiny_train_overrides: list[str], tmp_path: Path
):
    left_out = ("artifacts", "tower.dim", "trainer.epochs", "tokens_per_batch")
    fixed = [o for o in tiny_train_overrides if not o.startswith(left_out)]
    fixed += ["trainer.epochs=30", "trainer.patience=30", "tokens_per_batch=32"]
    listed = ",".join(f"'{override}'" for override in fixed)
    arguments = [
        f"artifacts={tmp_path}", "name=s", f"overrides=[{listed}]", "trials=1", "space=empty",
        "+space={tower.dim: {choices: [8, 16]}}",
    ]  # fmt: skip
    run = tmp_path / "tuning" / "s" / "0000" / "seed-0"

    process = start("towers.tune", arguments)
    wait_for(lambda: epochs(run), process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not (run / "run.json").exists()

    process = start("towers.tune", arguments)
    before = max(epochs(run))
    wait_for(lambda: max(epochs(run), default=before) > before, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left_behind = int(re.search(r"pid (\d+)", (run / ".lock").read_text())[1])
    process = start("towers.tune", arguments)
    said, _ = process.communicate(timeout=300)
    if process.returncode == 3:  # unless what was left behind was quicker
        assert f"pid {left_behind}" in said
        os.kill(left_behind, signal.SIGKILL)
        process = start("towers.tune", arguments)
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "best of 1 trials: trial 0, ndcg@10" in said
    assert (run / "log.txt").read_text().count("going on from") >= 1
