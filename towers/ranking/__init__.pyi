from .comparison import not_retrieved_share as not_retrieved_share, shortlist_ndcg as shortlist_ndcg
from .config import RankerConfig as RankerConfig
from .cross_encoder import PAIRS_AT_ONCE as PAIRS_AT_ONCE, CrossEncoder as CrossEncoder
from .examples import (
    RankingExample as RankingExample,
    judged_examples as judged_examples,
    user_examples as user_examples,
)
from .input_template import InputTemplate as InputTemplate
from .mining import Shortlist as Shortlist, shortlists as shortlists
from .onnx import (
    export_cross_encoder as export_cross_encoder,
    graph_path as graph_path,
    load_exported as load_exported,
    load_served as load_served,
    quantise_cross_encoder as quantise_cross_encoder,
)
from .record import (
    CROSS_ENCODER as CROSS_ENCODER,
    CrossEncoderRecord as CrossEncoderRecord,
    RankerResult as RankerResult,
)
from .training import CrossEncoderTrainer as CrossEncoderTrainer
from .training_set import RankingTrainingSet as RankingTrainingSet
