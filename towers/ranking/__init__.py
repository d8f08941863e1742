"""The second stage: a text cross-encoder, its ranking examples, losses and training, and its ONNX graphs.

Its names are imported when they are first asked for.
"""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.ranking.comparison import not_retrieved_share, shortlist_ndcg
    from towers.ranking.config import RankerConfig
    from towers.ranking.cross_encoder import PAIRS_AT_ONCE, CrossEncoder
    from towers.ranking.examples import RankingExample, judged_examples, user_examples
    from towers.ranking.input_template import InputTemplate
    from towers.ranking.mining import Shortlist, shortlists
    from towers.ranking.onnx import export_cross_encoder, graph_path, load_exported, load_served, quantise_cross_encoder
    from towers.ranking.record import CROSS_ENCODER, CrossEncoderRecord, RankerResult
    from towers.ranking.training import CrossEncoderTrainer
    from towers.ranking.training_set import RankingTrainingSet

__all__ = [
    "CROSS_ENCODER",
    "PAIRS_AT_ONCE",
    "CrossEncoder",
    "CrossEncoderRecord",
    "CrossEncoderTrainer",
    "InputTemplate",
    "RankerConfig",
    "RankerResult",
    "RankingExample",
    "RankingTrainingSet",
    "Shortlist",
    "export_cross_encoder",
    "graph_path",
    "judged_examples",
    "load_exported",
    "load_served",
    "not_retrieved_share",
    "quantise_cross_encoder",
    "shortlist_ndcg",
    "shortlists",
    "user_examples",
]

__getattr__ = lazy_names(
    __name__,
    {
        "PAIRS_AT_ONCE": "towers.ranking.cross_encoder",
        "not_retrieved_share": "towers.ranking.comparison",
        "CROSS_ENCODER": "towers.ranking.record",
        "CrossEncoder": "towers.ranking.cross_encoder",
        "CrossEncoderRecord": "towers.ranking.record",
        "CrossEncoderTrainer": "towers.ranking.training",
        "InputTemplate": "towers.ranking.input_template",
        "RankerConfig": "towers.ranking.config",
        "RankerResult": "towers.ranking.record",
        "RankingExample": "towers.ranking.examples",
        "RankingTrainingSet": "towers.ranking.training_set",
        "Shortlist": "towers.ranking.mining",
        "export_cross_encoder": "towers.ranking.onnx",
        "graph_path": "towers.ranking.onnx",
        "judged_examples": "towers.ranking.examples",
        "load_exported": "towers.ranking.onnx",
        "load_served": "towers.ranking.onnx",
        "quantise_cross_encoder": "towers.ranking.onnx",
        "shortlist_ndcg": "towers.ranking.comparison",
        "shortlists": "towers.ranking.mining",
        "user_examples": "towers.ranking.examples",
    },
)
