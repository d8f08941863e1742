"""Texts of items and queries: sentence encoders and their cache, whitening, tokens, spelling, and synthetic queries."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from towers.text.encoder import SentenceTransformerEncoder, TextEncoder, UniversalSentenceEncoder, load_text_encoder
    from towers.text.query_text import QueryText
    from towers.text.spelling import Spelling
    from towers.text.synthetic_queries import QueryConfig, one_query_per_item
    from towers.text.typos import misspelt
    from towers.text.vector_cache import VectorCache
    from towers.text.whitening import Whitening, text_directions

__all__ = [
    "QueryConfig",
    "QueryText",
    "SentenceTransformerEncoder",
    "Spelling",
    "TextEncoder",
    "UniversalSentenceEncoder",
    "VectorCache",
    "Whitening",
    "load_text_encoder",
    "misspelt",
    "one_query_per_item",
    "text_directions",
]

__getattr__ = lazy_names(
    __name__,
    {
        "QueryConfig": "towers.text.synthetic_queries",
        "QueryText": "towers.text.query_text",
        "SentenceTransformerEncoder": "towers.text.encoder",
        "Spelling": "towers.text.spelling",
        "TextEncoder": "towers.text.encoder",
        "UniversalSentenceEncoder": "towers.text.encoder",
        "VectorCache": "towers.text.vector_cache",
        "Whitening": "towers.text.whitening",
        "one_query_per_item": "towers.text.synthetic_queries",
        "load_text_encoder": "towers.text.encoder",
        "misspelt": "towers.text.typos",
        "text_directions": "towers.text.whitening",
    },
)
