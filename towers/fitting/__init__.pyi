from .checkpoints import begin as begin
from .cost import CostMeter as CostMeter
from .trainer import EpochData as EpochData
from .trainer import EpochDataset as EpochDataset
from .trainer import Session as Session
from .trainer import TrainerConfig as TrainerConfig
from .trainer import fit as fit
from .trainer import refit as refit
