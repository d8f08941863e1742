"""Choice and calibration of an index: how hard it has to search to reach an index recall, and which is cheapest."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.calibration.calibration import Calibration, Yardstick, calibrate
    from index.calibration.index_choice import IndexChoice
    from index.calibration.index_trials import ChosenIndex, choose_index
    from index.calibration.measures import index_recall
    from index.calibration.settings import IndexSettings

__all__ = [
    "Calibration",
    "ChosenIndex",
    "IndexChoice",
    "IndexSettings",
    "Yardstick",
    "calibrate",
    "choose_index",
    "index_recall",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Calibration": "index.calibration.calibration",
        "ChosenIndex": "index.calibration.index_trials",
        "IndexChoice": "index.calibration.index_choice",
        "IndexSettings": "index.calibration.settings",
        "Yardstick": "index.calibration.calibration",
        "calibrate": "index.calibration.calibration",
        "choose_index": "index.calibration.index_trials",
        "index_recall": "index.calibration.measures",
    },
)
