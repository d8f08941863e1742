from .item_features import ItemFeatures as ItemFeatures
from .item_tower import ItemTower as ItemTower, ItemTowerSettings as ItemTowerSettings
from .onnx_runtime import FLOAT32 as FLOAT32, INT8 as INT8
from .tokens import (
    PADDING as PADDING,
    UNKNOWN_EVENT as UNKNOWN_EVENT,
    UNKNOWN_GAP as UNKNOWN_GAP,
    EventTypes as EventTypes,
    SequenceTokens as SequenceTokens,
    tokenize as tokenize,
)
from .user_encoder import UserEncoder as UserEncoder
from .user_tower import UserTower as UserTower, UserTowerSettings as UserTowerSettings
from .user_tower_onnx import OnnxUserTower as OnnxUserTower, export_user_tower as export_user_tower
from .word_embeddings import WordEmbeddings as WordEmbeddings
