"""Training of the towers: the training set, its batches, the retriever that learns from them, the blocks' weights."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.training.batches import Batch, BatchSettings, QueryPlan, TrainingBatches
    from towers.training.block_weights import calibrated, weigh_blocks
    from towers.training.config import TrainConfig
    from towers.training.model_factory import build_retriever
    from towers.training.phases import WATCHED, Phase, Trained, prepare, train_towers
    from towers.training.retriever import Retriever
    from towers.training.training_set import TrainingSet

__all__ = [
    "WATCHED",
    "Batch",
    "BatchSettings",
    "Phase",
    "QueryPlan",
    "Retriever",
    "TrainConfig",
    "Trained",
    "TrainingBatches",
    "TrainingSet",
    "build_retriever",
    "calibrated",
    "prepare",
    "train_towers",
    "weigh_blocks",
]

__getattr__ = lazy_names(
    __name__,
    {
        "WATCHED": "towers.training.phases",
        "Batch": "towers.training.batches",
        "BatchSettings": "towers.training.batches",
        "Phase": "towers.training.phases",
        "QueryPlan": "towers.training.batches",
        "Retriever": "towers.training.retriever",
        "TrainConfig": "towers.training.config",
        "Trained": "towers.training.phases",
        "TrainingBatches": "towers.training.batches",
        "TrainingSet": "towers.training.training_set",
        "build_retriever": "towers.training.model_factory",
        "calibrated": "towers.training.block_weights",
        "prepare": "towers.training.phases",
        "train_towers": "towers.training.phases",
        "weigh_blocks": "towers.training.block_weights",
    },
)
