from .calibration import Calibration as Calibration, Yardstick as Yardstick, calibrate as calibrate
from .index_choice import IndexChoice as IndexChoice
from .index_trials import ChosenIndex as ChosenIndex, choose_index as choose_index
from .measures import index_recall as index_recall
from .settings import IndexSettings as IndexSettings
