"""Fitting: every epoch trains all of its batches and is validated, however many batches the others have."""

import signal
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from towers.fitting.trainer import EpochDataset, Session, TrainerConfig, fit, refit

LENGTHS = (5, 8, 3, 6, 4)


class Growing(EpochDataset[torch.Tensor]):
    """As many batches as `LENGTHS` says of the epoch."""

    def __len__(self) -> int:
        return LENGTHS[self.epoch]

    def __iter__(self):
        yield from torch.full((LENGTHS[self.epoch], 1), float(self.epoch))


class Counting(pl.LightningModule):
    """Notes which epochs its batches came from and when it was validated; its figure falls after epoch 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[int] = []
        self.validated: list[int] = []

    def training_step(self, batch, batch_idx):
        self.trained.append(int(batch))
        return (self.weight - 1).square().sum()

    def validation_step(self, batch, batch_idx):
        self.log("valid/score", -abs(self.current_epoch - 1.0))

    def on_validation_epoch_end(self):
        self.validated.append(self.current_epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fitted(run: Path, patience: int, resume: bool = False) -> tuple[Counting, dict[str, float]]:
    module = Counting()
    config = TrainerConfig(epochs=5, patience=patience, accelerator="cpu", threads=1, checkpoints=2)
    validation = DataLoader([torch.zeros(1)], batch_size=None)
    return module, fit(module, Growing(), validation, "valid/score", Session(run, config, resume, seed=0))


def test_every_epoch_trains_all_its_batches_and_is_validated(tmp_path: Path):
    module, figures = fitted(tmp_path, patience=9)
    assert module.trained == [epoch for epoch, length in enumerate(LENGTHS) for _ in range(length)]
    assert module.validated[:-1] == [0, 1, 2, 3, 4]  # the last one is the best epoch's, looked at again
    assert figures["epochs"] == 5


def test_a_training_that_had_stopped_early_is_not_trained_further(tmp_path: Path):
    first, figures = fitted(tmp_path, patience=2)
    assert first.trained[-1] == 3  # epochs 2 and 3 were no better than 1
    again, same = fitted(tmp_path, patience=2, resume=True)
    assert again.trained == []
    assert same["epochs"] == figures["epochs"] == 4
    assert torch.equal(again.weight, first.weight)


def refitted(run: Path, epochs: int, resume: bool = False) -> tuple[Counting, dict[str, float]]:
    module = Counting()
    config = TrainerConfig(epochs=5, patience=1, accelerator="cpu", threads=1, checkpoints=2)
    return module, refit(module, Growing(), epochs, Session(run, config, resume, seed=0))


def test_a_refit_takes_the_epochs_it_is_told_and_validates_nothing(tmp_path: Path):
    module, figures = refitted(tmp_path, epochs=3)
    assert module.trained == [epoch for epoch in range(3) for _ in range(LENGTHS[epoch])]
    assert module.validated == []
    assert figures == {"epochs": 3, "best_epoch": 3}


def test_a_refit_that_had_ended_is_not_trained_further(tmp_path: Path):
    first, _ = refitted(tmp_path, epochs=2)
    again, _ = refitted(tmp_path, epochs=2, resume=True)
    assert again.trained == []
    assert torch.equal(again.weight, first.weight)
    longer, _ = refitted(tmp_path, epochs=4, resume=True)
    assert longer.trained == [epoch for epoch in (2, 3) for _ in range(LENGTHS[epoch])]


class InterruptedBetweenEpochs(Growing):
    """Ctrl-C that comes while the second epoch's batches are prepared."""

    def __iter__(self):
        if self.epoch == 1:
            raise KeyboardInterrupt
        return iter(torch.full((LENGTHS[self.epoch], 1), float(self.epoch)))


def test_ctrl_c_between_two_epochs_is_an_interruption_as_everywhere(tmp_path: Path):
    config = TrainerConfig(epochs=5, patience=9, accelerator="cpu", threads=1, checkpoints=2)
    validation = DataLoader([torch.zeros(1)], batch_size=None)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(Counting(), InterruptedBetweenEpochs(), validation, "valid/score", Session(tmp_path, config, False, 0))
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning has it ignored from then on
    assert list(tmp_path.glob("checkpoints/epoch-*.ckpt"))
