"""Exit codes and messages, out of real processes."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_prep.files import lock

SHOP = "user_id,item_id,timestamp\n" + "".join(
    f"u{user},i{item},2024-01-{1 + user + item:02d}\n" for user in range(4) for item in range(5)
)

FAILING = """
from dataclasses import dataclass
from typing import Any
from data_prep.command import GateFailed, Locked, UsageError, command

@dataclass
class Config:
    name: str
    artifacts: str
    source: Any
    cleaning: Any
    max_bad_rows: float
    split: Any

@command(Config, "prepare")
def main(config):
    raise {error}

main()
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(start_python: Callable[..., subprocess.Popen[str]]) -> Run:
    def to_the_end(*arguments: str) -> Done:
        process = start_python(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        return Done(process.returncode, stdout, stderr)

    return to_the_end


def test_a_command_that_succeeds_exits_0_and_leaves_only_its_artifacts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOP)
    done = run("-m", "data_prep", "source=tabular", "name=shop", "source.events=shop.csv")
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout and "ready, fingerprint" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "shop.csv"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("sorce=tabular", "sorce"),
        ("+source.colour=red", "colour"),
        ("max_bad_rows=many", "max_bad_rows"),
        ("name=shop", "missing.csv"),
    ],
)
def test_a_wrong_config_exits_2_with_one_line_naming_the_key(
    run: Run, tmp_path: Path, override: str, named: str
) -> None:
    done = run("-m", "data_prep", "source=tabular", "source.events=missing.csv", override)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "INFO" not in line]
    assert len(errors) == 1 and errors[0].startswith("error: ") and named in errors[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("GateFailed('recall .5 is under the floor')", 1, "error: recall .5 is under the floor\n"),
        ("UsageError('no such run')", 2, "error: no such run\n"),
        ("Locked('held by pid 7')", 3, "error: held by pid 7\n"),
        ("KeyboardInterrupt", 130, "interrupted\n"),
    ],
)
def test_expected_errors_have_their_code_and_no_traceback(
    run: Run, tmp_path: Path, error: str, code: int, message: str
) -> None:
    done = run("-c", FAILING.format(error=error))
    assert (done.returncode, done.stderr) == (code, message)


def test_a_bug_keeps_its_traceback_and_exits_1(run: Run, tmp_path: Path) -> None:
    done = run("-c", FAILING.format(error="ZeroDivisionError('oops')"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ZeroDivisionError: oops" in done.stderr


def test_a_dataset_that_is_being_prepared_elsewhere_exits_3_naming_the_owner(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOP)
    with lock(tmp_path / "artifacts" / "data" / ".shop.lock", "prepare shop"):
        done = run("-m", "data_prep", "source=tabular", "name=shop", "source.events=shop.csv")
    assert done.returncode == 3
    assert "'prepare shop', pid" in done.stderr


def test_a_sweep_runs_every_job_and_fails_if_one_does(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOP)
    sweep = ["-m", "data_prep", "-m", "source=tabular", "source.events=shop.csv", "name=a,b"]
    assert run(*sweep).returncode == 0
    assert (tmp_path / "artifacts/data/a/manifest.json").is_file()
    assert (tmp_path / "artifacts/data/b/manifest.json").is_file()
    done = run(*sweep, "cleaning.core.user_events=1,100")
    assert done.returncode == 1
    assert "no events are left" in done.stderr and "Traceback" not in done.stderr


WITNESSED = """
import sys
from hydra.experimental.callback import Callback
from data_prep.command import command
from data_prep.prepare import PrepareConfig

class Witness(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        print("returned", job_return.return_value)

@command(PrepareConfig, "prepare")
def main(config):
    return len(config.name)

if __name__ == "__main__":
    main()
"""


def test_the_result_of_a_command_reaches_hydra_callbacks(run: Run, tmp_path: Path) -> None:
    (tmp_path / "witnessed.py").write_text(WITNESSED)
    witness = "+hydra.callbacks.witness._target_=witnessed.Witness"
    done = run("witnessed.py", witness, "name=seven77")
    assert done.stdout == "returned 7\n", done.stderr
