"""Progress of training: Lightning's bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, TQDMProgressBar

from data_prep.progress import LOG_EVERY

log = logging.getLogger(__name__)


class PlainProgress(Callback):
    """A line for each epoch, and one every few seconds within it."""

    def __init__(self) -> None:
        self._due = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._due = time.monotonic() + LOG_EVERY

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LOG_EVERY
            loss = float(trainer.callback_metrics["train/loss"])
            total = int(trainer.num_training_batches)
            log.info("epoch %d: batch %d of %d, loss %.3f", trainer.current_epoch, batch_idx + 1, total, loss)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        figures = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k.endswith(("loss", "temperature", "@10"))
        }
        line = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        log.info("epoch %d, of at most %s: %s", trainer.current_epoch, trainer.max_epochs, line)


def progress_callback() -> Callback:
    """A bar if somebody is watching stderr, lines otherwise."""
    return TQDMProgressBar(leave=True) if sys.stderr.isatty() else PlainProgress()
