"""Fitting any module: the trainer with its checkpoints, progress and cost, and distributed training."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.fitting.checkpoints import begin
    from towers.fitting.cost import CostMeter
    from towers.fitting.trainer import EpochData, EpochDataset, Session, TrainerConfig, fit, refit

__all__ = [
    "CostMeter",
    "EpochData",
    "EpochDataset",
    "Session",
    "TrainerConfig",
    "begin",
    "fit",
    "refit",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CostMeter": "towers.fitting.cost",
        "EpochData": "towers.fitting.trainer",
        "EpochDataset": "towers.fitting.trainer",
        "Session": "towers.fitting.trainer",
        "TrainerConfig": "towers.fitting.trainer",
        "begin": "towers.fitting.checkpoints",
        "fit": "towers.fitting.trainer",
        "refit": "towers.fitting.trainer",
    },
)
