"""Neural modules: the item tower with its features and words, the user tower with its layers, and their ONNX graphs."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.modules.item_features import ItemFeatures
    from towers.modules.item_tower import ItemTower, ItemTowerSettings
    from towers.modules.onnx_runtime import FLOAT32, INT8
    from towers.modules.tokens import PADDING, UNKNOWN_EVENT, UNKNOWN_GAP, EventTypes, SequenceTokens, tokenize
    from towers.modules.user_encoder import UserEncoder
    from towers.modules.user_tower import UserTower, UserTowerSettings
    from towers.modules.user_tower_onnx import OnnxUserTower, export_user_tower
    from towers.modules.word_embeddings import WordEmbeddings

__all__ = [
    "FLOAT32",
    "INT8",
    "PADDING",
    "UNKNOWN_EVENT",
    "UNKNOWN_GAP",
    "EventTypes",
    "ItemFeatures",
    "ItemTower",
    "ItemTowerSettings",
    "OnnxUserTower",
    "SequenceTokens",
    "UserEncoder",
    "UserTower",
    "UserTowerSettings",
    "WordEmbeddings",
    "export_user_tower",
    "tokenize",
]

__getattr__ = lazy_names(
    __name__,
    {
        "FLOAT32": "towers.modules.onnx_runtime",
        "INT8": "towers.modules.onnx_runtime",
        "PADDING": "towers.modules.tokens",
        "UNKNOWN_EVENT": "towers.modules.tokens",
        "UNKNOWN_GAP": "towers.modules.tokens",
        "EventTypes": "towers.modules.tokens",
        "ItemFeatures": "towers.modules.item_features",
        "ItemTower": "towers.modules.item_tower",
        "ItemTowerSettings": "towers.modules.item_tower",
        "OnnxUserTower": "towers.modules.user_tower_onnx",
        "SequenceTokens": "towers.modules.tokens",
        "UserEncoder": "towers.modules.user_encoder",
        "UserTower": "towers.modules.user_tower",
        "UserTowerSettings": "towers.modules.user_tower",
        "WordEmbeddings": "towers.modules.word_embeddings",
        "export_user_tower": "towers.modules.user_tower_onnx",
        "tokenize": "towers.modules.tokens",
    },
)
