"""Search: the index factory, search over its indexes, exact search, stored vectors, filters, GPUs."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.search.effort import SearchParameters, Selection
    from index.search.exact import Hits, exact_scores, exact_search
    from index.search.factory import Plan, fill, train_index
    from index.search.filters import Attributes, Filter, UnfitColumn
    from index.search.item_index import ItemIndex
    from index.search.stored_vectors import StoredVectors

__all__ = [
    "Attributes",
    "Filter",
    "Hits",
    "ItemIndex",
    "Plan",
    "SearchParameters",
    "Selection",
    "StoredVectors",
    "UnfitColumn",
    "exact_scores",
    "exact_search",
    "fill",
    "train_index",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Attributes": "index.search.filters",
        "Filter": "index.search.filters",
        "Hits": "index.search.exact",
        "ItemIndex": "index.search.item_index",
        "Plan": "index.search.factory",
        "SearchParameters": "index.search.effort",
        "Selection": "index.search.effort",
        "StoredVectors": "index.search.stored_vectors",
        "UnfitColumn": "index.search.filters",
        "exact_scores": "index.search.exact",
        "exact_search": "index.search.exact",
        "fill": "index.search.factory",
        "train_index": "index.search.factory",
    },
)
