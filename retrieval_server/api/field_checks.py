"""Fields of requests checked against the limits: each check yields its violations and needs no bundle."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.columns import Columns
from retrieval_server.api.errors import Violation
from retrieval_server.api.limits import Limits
from retrieval_server.retrieval.v1.admin_pb2 import Item
from retrieval_server.retrieval.v1.retrieval_pb2 import Event, Filter, History, RecallRequest, RecommendRequest
from towers.diversity import METHODS

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z. Milliseconds of our day lie beyond it, which is how they are distinguished from seconds."""

ITEM_FIELDS = (Columns.ITEM_ID, Columns.TITLE, Columns.TEXT, Columns.CATEGORY, Columns.BRAND, Columns.PRICE)
"""Columns of the item table that are fields of an item's message; the others come in `columns`."""


def size(field: str, value: str, limit: int, limit_name: str) -> Iterator[Violation]:
    """A violation for a string above a limit, in bytes of UTF-8."""
    byte_count = len(value.encode())
    if byte_count > limit:
        yield Violation(field, f"has {byte_count} bytes in UTF-8; send at most {limit} ({limit_name})")


def identifiers(field: str, values: Sequence[str], limits: Limits) -> Iterator[Violation]:
    """A violation for each identifier that is too long."""
    for position, value in enumerate(values):
        # The longest character takes four bytes: a short string need not be encoded to be measured.
        if len(value) * 4 > limits.id_bytes:
            yield from size(f"{field}[{position}]", value, limits.id_bytes, "limits.id_bytes")


def item_count(field: str, value: int, limit: int, limit_name: str) -> Iterator[Violation]:
    """A violation for a number of items to answer with that is below 1 or above a limit."""
    if not 1 <= value <= limit:
        yield Violation(field, f"is {value}; ask for 1 to {limit} ({limit_name})")


def entry_count(field: str, count: int, limit: int, limit_name: str) -> Iterator[Violation]:
    """A violation for a list that is empty or longer than a limit."""
    if not 1 <= count <= limit:
        yield Violation(field, f"has {count}; send 1 to {limit} ({limit_name})")


def candidate_count(value: int, limits: Limits) -> Iterator[Violation]:
    """A violation for a number of candidates out of bounds; 0 stands for the server's default."""
    if not 0 <= value <= limits.candidates:
        yield Violation(
            "candidates",
            f"is {value}; ask for 1 to {limits.candidates} (limits.candidates), or 0 for the server's default",
        )


def given_items(field: str, item_ids: Sequence[str], limits: Limits) -> Iterator[Violation]:
    """Violations of a list of items that a request is about: their number, or the length of each id."""
    if not 1 <= len(item_ids) <= limits.candidates:
        yield Violation(field, f"has {len(item_ids)} items; send 1 to {limits.candidates} (limits.candidates)")
        return
    yield from identifiers(field, item_ids, limits)


def excluded_items(item_ids: Sequence[str], limits: Limits) -> Iterator[Violation]:
    """Violations of a list of items that must not come back."""
    if len(item_ids) > limits.exclude:
        yield Violation("exclude_ids", f"has {len(item_ids)} items; send at most {limits.exclude} (limits.exclude)")
        return
    yield from identifiers("exclude_ids", item_ids, limits)


def budget(milliseconds: int, limits: Limits) -> Iterator[Violation]:
    """A violation for a time budget out of bounds; 0 stands for the server's default."""
    if not 0 <= milliseconds <= limits.budget_ms:
        yield Violation(
            "budget_ms",
            f"is {milliseconds}; give 1 to {limits.budget_ms} (limits.budget_ms), or 0 for the server's default",
        )


def history(message: History, limits: Limits) -> Iterator[Violation]:
    """Violations of a history: its length, its ids and event types, its times."""
    length = len(message.item_ids)
    if length > limits.history:
        yield Violation(
            "history.item_ids",
            f"has {length} items; send the newest {limits.history} at most (limits.history)",
        )
        return
    yield from identifiers("history.item_ids", message.item_ids, limits)
    yield from _parallel("history.events", len(message.events), length)
    yield from identifiers("history.events", message.events[: limits.history], limits)
    yield from _parallel("history.timestamps", len(message.timestamps), length)
    yield from _times(message.timestamps)


def item_filter(message: Filter, limits: Limits) -> Iterator[Violation]:
    """Violations of a filter, whatever columns the bundle's items have."""
    yield from _values("filter.categories", message.categories, limits.filter_values, "limits.filter_values", limits)
    yield from _values("filter.brands", message.brands, limits.filter_values, "limits.filter_values", limits)
    yield from _values("filter.allow_ids", message.allow_ids, limits.filter_ids, "limits.filter_ids", limits)
    yield from _values("filter.deny_ids", message.deny_ids, limits.filter_ids, "limits.filter_ids", limits)
    not_finite = [name for name in ("min_price", "max_price") if not math.isfinite(getattr(message, name))]
    for name in not_finite:
        yield Violation(f"filter.{name}", "is not a finite number; send a price, or leave the field out for any")
    both = message.HasField("min_price") and message.HasField("max_price")
    if both and not not_finite and message.min_price > message.max_price:
        yield Violation(
            "filter.min_price",
            f"is {message.min_price:g}, above max_price {message.max_price:g}; no item can cost that: swap the two",
        )


def diversity(request: RecallRequest | RecommendRequest, limits: Limits) -> Iterator[Violation]:
    """Violations of a request's diversity, whatever columns the bundle's items have."""
    message = request.diversity
    if message.method and message.method not in METHODS:
        yield Violation(
            "diversity.method", f"is {message.method[:40]!r}; send one of {', '.join(METHODS)}, or leave it out"
        )
    if not 0 <= message.strength <= 1:  # so put that NaN is outside
        yield Violation("diversity.strength", f"is {message.strength:g}; send 0 to 1, or leave it out")
    if message.max_per_category < 0:
        yield Violation(
            "diversity.max_per_category", f"is {message.max_per_category}; send 1 or more, or 0 for any number"
        )
    if request.HasField("diversity") and request.k > limits.candidates:
        yield Violation("k", f"is {request.k}; ask for 1 to {limits.candidates} (limits.candidates) with diversity")


def event(field: str, message: Event, limits: Limits) -> Iterator[Violation]:
    """Violations of an event to record."""
    for name in ("event_id", "user_id", "item_id"):
        if not getattr(message, name):
            yield Violation(f"{field}.{name}", "is empty; every event says it")
    for name in ("event_id", "user_id", "item_id", "event"):
        yield from size(f"{field}.{name}", getattr(message, name), limits.id_bytes, "limits.id_bytes")
    if not 0 <= message.timestamp <= LAST_SECOND:
        yield Violation(
            f"{field}.timestamp",
            f"is not a time between 0 and {LAST_SECOND}; send seconds since 1970 UTC, not milliseconds, or 0 for now",
        )


def item(field: str, message: Item, limits: Limits) -> Iterator[Violation]:
    """Violations of an item to put in, whatever columns the bundle's items have."""
    yield from size(f"{field}.item_id", message.item_id, limits.id_bytes, "limits.id_bytes")
    for column in ITEM_FIELDS:
        if column in message.columns:
            yield Violation(f"{field}.columns.{column}", f"is a field of the item; set `{column}` beside `columns`")


def _values(field: str, values: Sequence[str], limit: int, limit_name: str, limits: Limits) -> Iterator[Violation]:
    if len(values) > limit:
        yield Violation(field, f"has {len(values)} entries; send at most {limit} ({limit_name})")
        return
    yield from identifiers(field, values, limits)


def _parallel(field: str, count: int, length: int) -> Iterator[Violation]:
    if count not in (0, length):
        yield Violation(field, f"has {count} entries for {length} in history.item_ids; send one for each, or none")


def _times(timestamps: Sequence[float]) -> Iterator[Violation]:
    times = np.fromiter(timestamps, np.float64, len(timestamps))  # [L]
    outside = ~((times >= 0) & (times <= LAST_SECOND))  # [L], so put that NaN is outside
    if outside.any():
        yield Violation(
            f"history.timestamps[{int(outside.argmax())}]",
            f"is not a time between 0 and {LAST_SECOND}; send seconds since 1970 UTC, not milliseconds",
        )
        return
    backwards = np.diff(times) < 0  # [L - 1]
    if backwards.any():
        yield Violation(
            f"history.timestamps[{int(backwards.argmax()) + 1}]",
            "is earlier than the one before it; send the history oldest first",
        )
