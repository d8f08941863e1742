"""Events of users, as models read them: histories, interactions in bulk, users' attributes, and a dataset's log."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.events.history import History, Sequences
    from towers.events.interactions import Interactions
    from towers.events.reading import LogSettings, held_back, read_sequences, read_sequences_of
    from towers.events.training_data import TrainingData
    from towers.events.user_attributes import UserAttributes

__all__ = [
    "History",
    "Interactions",
    "LogSettings",
    "Sequences",
    "TrainingData",
    "UserAttributes",
    "held_back",
    "read_sequences",
    "read_sequences_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "History": "towers.events.history",
        "Interactions": "towers.events.interactions",
        "LogSettings": "towers.events.reading",
        "Sequences": "towers.events.history",
        "TrainingData": "towers.events.training_data",
        "UserAttributes": "towers.events.user_attributes",
        "held_back": "towers.events.reading",
        "read_sequences": "towers.events.reading",
        "read_sequences_of": "towers.events.reading",
    },
)
