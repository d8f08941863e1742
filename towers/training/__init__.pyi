from .batches import (
    Batch as Batch,
    BatchSettings as BatchSettings,
    QueryPlan as QueryPlan,
    TrainingBatches as TrainingBatches,
)
from .block_weights import calibrated as calibrated, weigh_blocks as weigh_blocks
from .config import TrainConfig as TrainConfig
from .model_factory import build_retriever as build_retriever
from .phases import (
    WATCHED as WATCHED,
    Phase as Phase,
    Trained as Trained,
    prepare as prepare,
    train_towers as train_towers,
)
from .retriever import Retriever as Retriever
from .training_set import TrainingSet as TrainingSet
