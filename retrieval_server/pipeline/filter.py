"""Filters of requests, made into what the bundle's searches take."""

from collections.abc import Sequence

from data_prep.columns import Columns
from index import Filter, UnfitColumn
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.retrieval.v1.retrieval_pb2 import Filter as FilterMessage

FIELDS = {Columns.CATEGORY: "categories", Columns.BRAND: "brands", Columns.IN_STOCK: "in_stock"}
"""Field that asks of a column; the price has two."""


def filter_of(message: FilterMessage) -> Filter | None:
    """A checked filter; None where it asks for nothing."""
    conditions = Filter(
        categories=_set(message.categories),
        brands=_set(message.brands),
        min_price=message.min_price if message.HasField("min_price") else None,
        max_price=message.max_price if message.HasField("max_price") else None,
        in_stock=message.in_stock if message.HasField("in_stock") else None,
        allow=_set(message.allow_ids),
        deny=_set(message.deny_ids),
    )
    return None if conditions == Filter() else conditions


def allowed_rows(bundle: ServedBundle, conditions: Filter | None) -> object:
    """The `allowed` of the bundle's searches for a filter; None for no filter.

    Raises:
        InvalidRequest: the items lack a column that the filter asks of; by its field.
    """
    if conditions is None:
        return None
    try:
        return bundle.allowed(conditions)
    except UnfitColumn as error:
        price = "max_price" if conditions.min_price is None else "min_price"
        raise InvalidRequest([Violation(f"filter.{FIELDS.get(error.column, price)}", str(error))]) from error


def _set(values: Sequence[str]) -> frozenset[str] | None:
    return frozenset(values) or None
