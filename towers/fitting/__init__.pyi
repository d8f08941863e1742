from .checkpoints import begin as begin
from .cost import CostMeter as CostMeter
from .trainer import (
    EpochData as EpochData,
    EpochDataset as EpochDataset,
    Session as Session,
    TrainerConfig as TrainerConfig,
    fit as fit,
    refit as refit,
)
