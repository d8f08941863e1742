"""One tiny shop for every room: its logs, its dataset, a trained run, a bundle. Each is made once, by the real code."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from tests import processes

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two shared cores: more threads would only wait for each other
os.environ[processes.MARK] = str(os.getpid())
torch.set_num_threads(1)

from tests.tiny import RANKER_OVERRIDES, TRAIN_OVERRIDES, tabular_overrides, write_encoder, write_logs  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind() -> Iterator[None]:
    """Fail the run, at its end, if a process that a test started still runs. Under xdist each worker checks its own."""
    yield
    survivors = processes.left_behind()
    processes.kill(survivors)
    listed = "\n".join(f"  {number}: {line}" for number, line in survivors.items())
    assert not survivors, f"processes that tests left behind (killed now):\n{listed}"


@pytest.fixture
def start_process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes; those that still run when the test ends are killed."""
    with ExitStack() as running:
        yield lambda arguments, **options: running.enter_context(processes.started(arguments, **options))


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of what the commands write in this session."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def tiny_logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """CSV files: events, items."""
    return write_logs(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with a random text encoder."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def tiny_data(artifacts: Path, tiny_logs: tuple[Path, Path]) -> Path:
    """The prepared dataset."""
    from data_prep.command import load_config
    from data_prep.prepare import PrepareConfig, prepare

    overrides = [*tabular_overrides(*tiny_logs), f"artifacts={artifacts}", "name=tiny"]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


@pytest.fixture(scope="session")
def tiny_train_overrides(artifacts: Path, tiny_data: Path, tiny_encoder: Path) -> list[str]:
    """Overrides with which `towers.train` learns the tiny shop in a second or two."""
    return [f"data={tiny_data}", f"artifacts={artifacts}", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES]


@pytest.fixture(scope="session")
def tiny_run(artifacts: Path, tiny_data: Path, tiny_encoder: Path, tiny_train_overrides: list[str]) -> Path:
    """A finished training run, with a cross-encoder beside the towers."""
    from data_prep.command import load_config
    from towers.ranking.config import RankerConfig
    from towers.train import train
    from towers.train_ranker import train_ranker
    from towers.training.config import TrainConfig

    run = artifacts / "runs" / "tiny"
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, "run=tiny"]), run)
    bert = tiny_encoder.parent / "bert"
    overrides = [f"run={run}", f"data={tiny_data}", f"artifacts={artifacts}", f"model.folder={bert}", *RANKER_OVERRIDES]
    train_ranker(load_config(RankerConfig, "train_ranker", overrides))
    return run


@pytest.fixture(scope="session")
def tiny_bundle(artifacts: Path, tiny_run: Path, tiny_data: Path) -> Path:
    """A published bundle, reached through `current`."""
    from data_prep.command import load_config
    from index.build.__main__ import build
    from index.build.config import BuildConfig

    overrides = [f"run={tiny_run}", f"data={tiny_data}", f"artifacts={artifacts}", "cross_encoder=always"]
    build(load_config(BuildConfig, "build", overrides))
    return artifacts / "bundles" / "current"
