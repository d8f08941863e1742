"""Limits of one request, each a configuration value."""

from dataclasses import dataclass


@dataclass
class Limits:
    """Largest values of one request.

    Attributes:
        k: items of one answer.
        history: events of one request's history.
        candidates: items that one request may have reranked.
        exclude: items that one request may keep out.
        filter_values: categories, and brands, of one request's filter.
        filter_ids: items that one request's filter may allow, and deny.
        budget_ms: milliseconds that one request may take for itself.
        events: events that one request may record.
        items: items that one request may put in, or take out.
        query_bytes: bytes of a query in UTF-8.
        id_bytes: bytes of any one identifier or event type in UTF-8.
    """

    k: int
    history: int
    candidates: int
    exclude: int
    filter_values: int
    filter_ids: int
    budget_ms: int
    events: int
    items: int
    query_bytes: int
    id_bytes: int
