from .calibration import Calibration as Calibration
from .calibration import Yardstick as Yardstick
from .calibration import calibrate as calibrate
from .index_choice import IndexChoice as IndexChoice
from .index_trials import ChosenIndex as ChosenIndex
from .index_trials import choose_index as choose_index
from .measures import index_recall as index_recall
from .settings import IndexSettings as IndexSettings
