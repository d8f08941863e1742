"""The model of a run: its typed record, the trained towers, and the one vector that an index is built from."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.model.item_encoder import NEW, ItemEncoder
    from towers.model.one_vector import OneVectorModel, WeightedBlock
    from towers.model.run_record import RUN, BlockWeightsRecord, RunRecord, RunSettings, check_towers
    from towers.model.scorer import ONE_VECTOR, VectorScorer, model_scorer
    from towers.model.selection import SELECTION, selection_of
    from towers.model.trained_towers import ITEMS_AT_ONCE, TrainedTowers, dataset_of
    from towers.model.user_side import AddedItems, ModelEncoder

__all__ = [
    "ITEMS_AT_ONCE",
    "NEW",
    "ONE_VECTOR",
    "RUN",
    "SELECTION",
    "AddedItems",
    "BlockWeightsRecord",
    "ItemEncoder",
    "ModelEncoder",
    "OneVectorModel",
    "RunRecord",
    "RunSettings",
    "TrainedTowers",
    "VectorScorer",
    "WeightedBlock",
    "check_towers",
    "dataset_of",
    "model_scorer",
    "selection_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ITEMS_AT_ONCE": "towers.model.trained_towers",
        "NEW": "towers.model.item_encoder",
        "ONE_VECTOR": "towers.model.scorer",
        "RUN": "towers.model.run_record",
        "SELECTION": "towers.model.selection",
        "AddedItems": "towers.model.user_side",
        "BlockWeightsRecord": "towers.model.run_record",
        "ItemEncoder": "towers.model.item_encoder",
        "ModelEncoder": "towers.model.user_side",
        "OneVectorModel": "towers.model.one_vector",
        "RunRecord": "towers.model.run_record",
        "RunSettings": "towers.model.run_record",
        "TrainedTowers": "towers.model.trained_towers",
        "VectorScorer": "towers.model.scorer",
        "WeightedBlock": "towers.model.one_vector",
        "check_towers": "towers.model.run_record",
        "dataset_of": "towers.model.trained_towers",
        "model_scorer": "towers.model.scorer",
        "selection_of": "towers.model.selection",
    },
)
