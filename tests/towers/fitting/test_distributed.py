"""Two processes that train together are one process that trains alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed
from tests import processes
from towers.fitting import distributed
from towers.model.trained_towers import TrainedTowers
from towers.training.config import TrainConfig
from towers.training.phases import Phase, prepare

ROOT = Path(__file__).parents[3]
STEPS = 6
ONE_WINDOW = 10
"""Tokens per batch with which most batches are a single window: one of two processes has nothing."""

SCHEMES = (
    ["negatives=[in_batch,uniform,cross_batch]", "negatives/counts=streaming", "loss.dims=[8]", "loss.smoothing=0.1"],
    ["negatives=in_batch", f"tokens_per_batch={ONE_WINDOW}"],
    ["negatives=[in_batch,hard]", "tokens_per_batch=70"],
)
STILL = [f"tower.{name}=0" for name in ("id_dropout", "dropout", "input_dropout")]


def some_steps(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Weights after a few steps of plain gradient descent, and the sum of the gradients' sizes on the way."""
    prepared = prepare(config, Dataset.open(config.data), Phase(config.artifacts, Split.VALID, None))
    batches, retriever = prepared.batches, prepared.retriever
    batches.rank, batches.world_size = (dist.get_rank() if dist.is_initialized() else 0), distributed.world_size()
    retriever.train()
    retriever.negatives.start_epoch(0)
    seen = {name: torch.zeros_like(p) for name, p in retriever.named_parameters()}
    rows = torch.zeros(1)
    for number, batch in zip(range(STEPS), batches, strict=False):
        retriever.zero_grad()
        retriever.training_step(batch, number).backward()
        rows += len(batch.positives)
        for name, parameter in retriever.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            if distributed.world_size() > 1:  # what DistributedDataParallel does
                dist.all_reduce(gradient)
                gradient /= distributed.world_size()
            seen[name] += gradient.abs()
            parameter.data -= 0.1 * gradient
    state = {f"weight {k}": v for k, v in retriever.state_dict().items()} | {
        f"gradient {k}": v for k, v in seen.items()
    }
    return {**state, "rows": distributed.total(rows)}


def help_with_steps(ready: Callable[[], None], configs: list[TrainConfig]) -> None:
    torch.set_num_threads(1)
    ready()
    dist.init_process_group("gloo", rank=1, world_size=2)
    for config in configs:
        some_steps(config)


def test_two_processes_step_as_one_does_whatever_share_of_a_batch_each_has(tiny_train_overrides):
    configs = [load_config(TrainConfig, "train", [*tiny_train_overrides, *STILL, *scheme]) for scheme in SCHEMES]
    alone = [some_steps(config) for config in configs]
    with distributed.helped_by(2, help_with_steps, configs):
        dist.init_process_group("gloo", rank=0, world_size=2)
        together = [some_steps(config) for config in configs]
    for one, two in zip(alone, together, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            torch.testing.assert_close(two[name], one[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        assert sum(v.sum() for k, v in one.items() if k.startswith("gradient")) > 1


def fail(ready: Callable[[], None], when: str) -> None:
    if when == "early":
        raise ValueError("no such thing")
    ready()
    dist.init_process_group("gloo", rank=1, world_size=2)
    raise ValueError("no such thing")


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_rank_that_dies_ends_the_training_and_is_named(when, capfd):
    with pytest.raises(GateFailed, match="training process 1 of 2 ended with 1"), distributed.helped_by(2, fail, when):
        dist.init_process_group("gloo", rank=0, world_size=2)
        for _ in range(3):
            dist.all_reduce(torch.ones(1))
    assert "no such thing" in capfd.readouterr().err
    assert not dist.is_initialized()


@pytest.mark.slow
def test_two_processes_train_a_run_from_the_command_line(tiny_train_overrides, artifacts: Path):
    overrides = [o for o in tiny_train_overrides if not o.startswith(("negatives", "trainer.epochs"))]
    more = ["run=pair", "trainer.epochs=2", "trainer.devices=2", "trainer.accelerator=cpu", "negatives=mixed"]
    done = processes.run(processes.python("-m", "towers.train", *more, *overrides), timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fingerprint") == 1
    assert done.stderr.count("epoch 1, of at most 2") == 1
    run = artifacts / "runs" / "pair"
    writers = {path.name.split(".")[-2] for path in run.rglob("events.out.tfevents.*")}
    assert len(writers) == 1  # the first process alone
    assert TrainedTowers.open(run).dim == 32
    assert not list(run.parent.glob("train_ddp*"))


@pytest.mark.slow
def test_a_grid_trains_each_trial_with_as_many_processes_as_it_says(tiny_train_overrides, artifacts: Path):
    overrides = [o for o in tiny_train_overrides if not o.startswith("trainer.epochs")]
    more = ["-m", "run=distributed", "trainer.epochs=1", "trainer.devices=2,1", "trainer.accelerator=cpu"]
    done = processes.run(processes.python("-m", "towers.train", *more, *overrides), timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fingerprint") == 2
    pair, alone = (json.loads((artifacts / "runs" / "distributed" / trial / "run.json").read_text()) for trial in "01")
    assert [run["config"]["trainer"]["devices"] for run in (pair, alone)] == [2, 1]
    assert pair["validation"] == pytest.approx(alone["validation"], abs=0.1)  # dropout differs between the two
