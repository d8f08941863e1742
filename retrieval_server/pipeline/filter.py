"""Filters of requests: checked against the limits, and made into rows of the bundle."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from data_prep.columns import Columns
from index import Filter, UnfitColumn
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.api.limits import identifiers
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.config import Limits
from retrieval_server.retrieval.v1.retrieval_pb2 import Filter as Message

FIELDS = {Columns.CATEGORY: "categories", Columns.BRAND: "brands", Columns.IN_STOCK: "in_stock"}
"""Field that asks of a column; the price has two."""


def check_filter(message: Message, limits: Limits) -> Iterator[Violation]:
    """What is wrong with a filter, whatever the bundle."""
    yield from _list("filter.categories", message.categories, limits.filter_values, "limits.filter_values", limits)
    yield from _list("filter.brands", message.brands, limits.filter_values, "limits.filter_values", limits)
    yield from _list("filter.allow_ids", message.allow_ids, limits.filter_ids, "limits.filter_ids", limits)
    yield from _list("filter.deny_ids", message.deny_ids, limits.filter_ids, "limits.filter_ids", limits)
    broken = [name for name in ("min_price", "max_price") if not math.isfinite(getattr(message, name))]
    for name in broken:
        yield Violation(f"filter.{name}", "is not a finite number; send a price, or leave the field out for any")
    both = message.HasField("min_price") and message.HasField("max_price")
    if both and not broken and message.min_price > message.max_price:
        yield Violation(
            "filter.min_price",
            f"is {message.min_price:g}, above max_price {message.max_price:g}; no item can cost that: swap the two",
        )


def filter_of(message: Message) -> Filter | None:
    """A checked filter; None where it asks for nothing."""
    wanted = Filter(
        categories=_set(message.categories),
        brands=_set(message.brands),
        min_price=message.min_price if message.HasField("min_price") else None,
        max_price=message.max_price if message.HasField("max_price") else None,
        in_stock=message.in_stock if message.HasField("in_stock") else None,
        allow=_set(message.allow_ids),
        deny=_set(message.deny_ids),
    )
    return None if wanted == Filter() else wanted


def narrowed(bundle: ServedBundle, wanted: Filter | None) -> Any:
    """What the bundle's searches take as `allowed`; None for no filter.

    Raises:
        InvalidRequest: the items lack a column that the filter asks of; by its field.
    """
    if wanted is None:
        return None
    try:
        return bundle.allowed(wanted)
    except UnfitColumn as error:
        price = "max_price" if wanted.min_price is None else "min_price"
        raise InvalidRequest([Violation(f"filter.{FIELDS.get(error.column, price)}", str(error))]) from error


def _list(field: str, values: Sequence[str], limit: int, name: str, limits: Limits) -> Iterator[Violation]:
    if len(values) > limit:
        yield Violation(field, f"has {len(values)} entries; send at most {limit} ({name})")
        return
    yield from identifiers(field, values, limits)


def _set(values: Sequence[str]) -> frozenset[str] | None:
    return frozenset(values) or None
