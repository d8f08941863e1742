"""One way to fit a module: checkpoints, early stopping, progress, TensorBoard, resuming."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.utils.data import DataLoader, IterableDataset

from data_prep.config import require
from towers.fitting.checkpoints import CHECKPOINTS, starting_checkpoint, stopped_early
from towers.fitting.progress import progress_callback

log = logging.getLogger(__name__)

Batch = TypeVar("Batch", covariant=True)

# Lightning's greetings, tips, device list and advice on worker processes are not about the run at hand.
logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
logging.getLogger("lightning_fabric.utilities.distributed").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", module="pytorch_lightning.*")
warnings.filterwarnings("ignore", message=".*LeafSpec.*")


@dataclass
class TrainerConfig:
    """How long and on what.

    Attributes:
        epochs: at most.
        patience: epochs without a better validation figure before training stops.
        accelerator: "auto", "cpu" or "gpu", as Lightning has it.
        threads: intra-op threads of torch.
        checkpoints: newest checkpoints kept besides the best one.
    """

    epochs: int
    patience: int
    accelerator: str
    threads: int
    checkpoints: int

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "threads", "checkpoints"):
            require(f"trainer.{name}", getattr(self, name), 1)


class EpochDataset(IterableDataset[Batch]):
    """Training batches that differ from epoch to epoch and are the same for the same epoch.

    Attributes:
        epoch: its number.
        rank, world_size: of several processes each gets its share of every batch, so all have as many batches.
    """

    epoch: int = 0
    rank: int = 0
    world_size: int = 1


class EpochData(pl.LightningDataModule):
    """Training batches of the epoch at hand, and the validation data.

    Lightning asks for the loader at the start of each epoch and then takes its length: earlier than any callback runs.
    """

    def __init__(self, batches: EpochDataset[Any], validation: DataLoader[Any] | None) -> None:
        super().__init__()
        self.batches = batches
        self.validation = validation

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        self.batches.epoch = self.trainer.current_epoch
        self.batches.rank, self.batches.world_size = self.trainer.global_rank, self.trainer.world_size
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self.validation or []


class SeedOfEpoch(Callback):
    """Restarts the random numbers with each epoch: a resumed run draws what an uninterrupted one would have drawn.

    Other processes than the first draw others, so that dropout is not the same everywhere.

    They are restarted at the first batch: Lightning makes an epoch's loader, which draws a number, before the epoch
    begins where a training begins or goes on with it, and afterwards in all others.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, idx: int) -> None:
        if idx == 0:
            torch.manual_seed(self.seed * 100_003 + trainer.current_epoch + trainer.global_rank * 1_000_000_007)
            if trainer.current_epoch:
                torch.empty((), dtype=torch.int64).random_()  # the loader's, so that a seed gives what it always gave


def strategy_of(processes: int) -> Strategy | str:
    """How Lightning has several processes train: gradients averaged over gloo or NCCL, by device."""
    if processes == 1:
        return "auto"
    # Tuned encoders carry weights that no loss reaches; features in buffers are the same everywhere to begin with.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


@dataclass(frozen=True)
class Session:
    """Where and how a module is fitted.

    Of several processes each fits; only the first writes anything. All of them validate on everything.

    Attributes:
        folder: for checkpoints and TensorBoard.
        config: how long and on what.
        resume: go on from the newest whole checkpoint.
        seed: of everything random in training.
        processes: how many train together.
        watchers: callbacks of the caller; their state travels in the checkpoints.
    """

    folder: Path
    config: TrainerConfig
    resume: bool
    seed: int
    processes: int = 1
    watchers: Sequence[Callback] = ()

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / CHECKPOINTS

    def starting_state(self) -> tuple[Path | None, dict[str, Any]]:
        """The checkpoint to go on from and what it holds; None and nothing to begin."""
        path = starting_checkpoint(self.checkpoints, self.resume)
        return path, torch.load(path, map_location="cpu", weights_only=True) if path else {}

    def trainer(self, callbacks: Sequence[Callback], **settings: Any) -> pl.Trainer:
        """A trainer with the callbacks every fitting has, and some of its own."""
        newest = ModelCheckpoint(
            self.checkpoints,
            filename="epoch-{epoch:04d}",
            auto_insert_metric_name=False,
            monitor="epoch",
            mode="max",
            save_top_k=self.config.checkpoints,
        )
        return pl.Trainer(
            default_root_dir=self.folder,
            max_epochs=self.config.epochs,
            accelerator=self.config.accelerator,
            devices=self.processes,
            strategy=strategy_of(self.processes),
            use_distributed_sampler=False,  # it would shuffle; batches know their share
            logger=TensorBoardLogger(self.folder, name="", version="tensorboard"),
            callbacks=[SeedOfEpoch(self.seed), progress_callback(), *self.watchers, *callbacks, newest],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=1.0,
            log_every_n_steps=10,  # so that small shops see curves too
            reload_dataloaders_every_n_epochs=1,  # the number of batches changes with the epoch
            **settings,
        )

    def run(self, trainer: pl.Trainer, module: pl.LightningModule, data: EpochData, start: Path | None) -> int:
        """Train; returns the epochs trained.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with everything up to the last epoch on disk.
        """
        module.train()  # pretrained parts come switched to evaluation
        try:
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        except (SystemExit, RuntimeError) as error:
            # Lightning answers Ctrl-C by SystemExit; between two epochs its own clearing up fails, which hides Ctrl-C.
            if isinstance(error, RuntimeError) and not isinstance(error.__context__, KeyboardInterrupt):
                raise
            log.warning("interrupted in epoch %d; resume=true with the same run goes on", trainer.current_epoch)
            raise KeyboardInterrupt from error
        return int(trainer.current_epoch)

    def restore_watchers(self, state: Mapping[str, Any]) -> None:
        """Give the caller's callbacks what they had when a training ended."""
        for watcher in self.watchers:
            if kept := state["callbacks"].get(watcher.state_key):
                watcher.load_state_dict(kept)


def fit(
    module: pl.LightningModule,
    batches: EpochDataset[Any],
    validation: DataLoader[Any],
    watched: str,
    session: Session,
) -> dict[str, float]:
    """Fit a module and leave it with the weights of its best epoch.

    Args:
        module: the module; logs `watched` when validating.
        batches: the training batches.
        validation: loader of validation batches.
        watched: name of the figure that is to grow.
        session: where and how.

    Returns:
        Validation figures of the best epoch, `epochs`, the number trained, and `best_epoch`, the number after which
        the weights were best.

    Raises:
        KeyboardInterrupt: after Ctrl-C, with everything up to the last epoch on disk.
    """
    best = ModelCheckpoint(
        session.checkpoints, filename="best", monitor=watched, mode="max", enable_version_counter=False
    )
    trainer = session.trainer([best, EarlyStopping(watched, mode="max", patience=session.config.patience)])
    start, before = session.starting_state()
    if before and stopped_early(before, session.config.patience):
        epochs = int(before["epoch"]) + 1
        session.restore_watchers(before)
    else:
        epochs = session.run(trainer, module, EpochData(batches, validation), start)
    state = torch.load(session.checkpoints / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    trainer.validate(module, validation, verbose=False)
    figures = {k.removeprefix("valid/"): float(v) for k, v in trainer.callback_metrics.items() if "valid/" in k}
    return {**figures, "epochs": float(epochs), "best_epoch": float(state["epoch"] + 1)}


class StopAfter(Callback):
    """Ends training after an epoch, wherever the learning-rate schedule stands."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def refit(module: pl.LightningModule, batches: EpochDataset[Any], epochs: int, session: Session) -> dict[str, float]:
    """Fit a module for a known number of epochs of the same schedule, with nothing held out.

    Args:
        module: the module.
        batches: the training batches.
        epochs: how many; an earlier training found them best.
        session: where and how; its config's epochs are those of the schedule.

    Returns:
        `epochs` and `best_epoch`, both the number trained.

    Raises:
        KeyboardInterrupt: after Ctrl-C, with everything up to the last epoch on disk.
    """
    start, before = session.starting_state()
    if before and int(before["epoch"]) + 1 >= epochs:
        module.load_state_dict(before["state_dict"])
        session.restore_watchers(before)
    else:
        trainer = session.trainer([StopAfter(epochs)], limit_val_batches=0)
        session.run(trainer, module, EpochData(batches, None), start)
    return {"epochs": float(epochs), "best_epoch": float(epochs)}
