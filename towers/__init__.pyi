from .candidates.funnel import Funnel as Funnel
from .events.history import History as History
from .model.one_vector import OneVectorModel as OneVectorModel
from .model.user_side import ModelEncoder as ModelEncoder
from .ranking.cross_encoder import CrossEncoder as CrossEncoder
from .ranking.input_template import InputTemplate as InputTemplate
