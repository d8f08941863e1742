"""The stages of a request: recall, rerank, diversity, explanation, and the fallback where nothing is known."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from retrieval_server.pipeline.cross_encoding import CrossEncoderRunner
    from retrieval_server.pipeline.pipeline import Pipeline
    from retrieval_server.pipeline.recall import BatchedRecall
    from retrieval_server.pipeline.results import Constraints

__all__ = ["BatchedRecall", "Constraints", "CrossEncoderRunner", "Pipeline"]

__getattr__ = lazy_names(
    __name__,
    {
        "BatchedRecall": "retrieval_server.pipeline.recall",
        "Constraints": "retrieval_server.pipeline.results",
        "CrossEncoderRunner": "retrieval_server.pipeline.cross_encoding",
        "Pipeline": "retrieval_server.pipeline.pipeline",
    },
)
