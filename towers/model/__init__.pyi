from .item_encoder import NEW as NEW, ItemEncoder as ItemEncoder
from .one_vector import OneVectorModel as OneVectorModel, WeightedBlock as WeightedBlock
from .run_record import (
    RUN as RUN,
    BlockWeightsRecord as BlockWeightsRecord,
    RunRecord as RunRecord,
    RunSettings as RunSettings,
)
from .scorer import ONE_VECTOR as ONE_VECTOR, VectorScorer as VectorScorer, model_scorer as model_scorer
from .selection import SELECTION as SELECTION, selection_of as selection_of
from .trained_towers import ITEMS_AT_ONCE as ITEMS_AT_ONCE, TrainedTowers as TrainedTowers, dataset_of as dataset_of
from .user_side import AddedItems as AddedItems, ModelEncoder as ModelEncoder
