from .encoder import (
    SentenceTransformerEncoder as SentenceTransformerEncoder,
    TextEncoder as TextEncoder,
    UniversalSentenceEncoder as UniversalSentenceEncoder,
    load_text_encoder as load_text_encoder,
)
from .query_text import QueryText as QueryText
from .spelling import Spelling as Spelling
from .synthetic_queries import QueryConfig as QueryConfig, one_query_per_item as one_query_per_item
from .typos import misspelt as misspelt
from .vector_cache import VectorCache as VectorCache
from .whitening import Whitening as Whitening, text_directions as text_directions
