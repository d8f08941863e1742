from .history import History as History, Sequences as Sequences
from .interactions import Interactions as Interactions
from .reading import (
    LogSettings as LogSettings,
    held_back as held_back,
    read_sequences as read_sequences,
    read_sequences_of as read_sequences_of,
)
from .training_data import TrainingData as TrainingData
from .user_attributes import UserAttributes as UserAttributes
