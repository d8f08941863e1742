from .cross_encoding import CrossEncoderRunner as CrossEncoderRunner
from .pipeline import Pipeline as Pipeline
from .recall import BatchedRecall as BatchedRecall
from .results import Constraints as Constraints
