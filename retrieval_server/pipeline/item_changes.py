"""Requests that change items, checked against the limits and put into the bundle's terms."""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from data_prep.columns import Columns
from index import UnfitItems
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.api.limits import identifiers, size
from retrieval_server.config import Limits
from retrieval_server.retrieval.v1.admin_pb2 import DeleteItemsRequest, Item, UpsertItemsRequest

OWN = (Columns.ITEM_ID, Columns.TITLE, Columns.TEXT, Columns.CATEGORY, Columns.BRAND, Columns.PRICE)
"""Columns that are fields of an item; the others come in `columns`."""


def check_upsert(request: UpsertItemsRequest, limits: Limits) -> Sequence[dict[str, Any]]:
    """The items by column, once the request is found to be within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    violations = list(_count("items", len(request.items), limits))
    if not violations:
        violations = [v for place, item in enumerate(request.items) for v in _item(f"items[{place}]", item, limits)]
    if violations:
        raise InvalidRequest(violations)
    return [_columns(item) for item in request.items]


def check_delete(request: DeleteItemsRequest, limits: Limits) -> Sequence[str]:
    """The ids, once the request is found to be within the limits.

    Raises:
        InvalidRequest: with one violation per wrong field.
    """
    violations = list(_count("item_ids", len(request.item_ids), limits))
    if not violations:
        violations = list(identifiers("item_ids", request.item_ids, limits))
    if violations:
        raise InvalidRequest(violations)
    return list(request.item_ids)


def refused(unfit: UnfitItems) -> InvalidRequest:
    """What a caller is told of items that cannot be served."""
    return InvalidRequest([Violation(_field(place, fault.column), str(fault)) for place, fault in unfit.faults.items()])


def _count(field: str, count: int, limits: Limits) -> Iterator[Violation]:
    if not 1 <= count <= limits.items:
        yield Violation(field, f"has {count}; send 1 to {limits.items} (limits.items)")


def _item(place: str, item: Item, limits: Limits) -> Iterator[Violation]:
    yield from size(f"{place}.item_id", item.item_id, limits.id_bytes, "limits.id_bytes")
    for column in OWN:
        if column in item.columns:
            yield Violation(f"{place}.columns.{column}", f"is a field of the item; set `{column}` beside `columns`")


def _columns(item: Item) -> dict[str, Any]:
    """An item by column; what is empty is left out."""
    columns = _mapping(item.columns)
    columns |= {name: value for name in OWN[:-1] if (value := getattr(item, name))}
    if item.HasField("price"):
        columns[Columns.PRICE] = item.price
    return columns


def _mapping(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    """A value in Python's terms, numbers that JSON cannot write included: they are refused by their column."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _mapping(value.struct_value)
    if kind == "list_value":
        return [_plain(one) for one in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def _field(place: int, column: str) -> str:
    inner = "" if not column else f".{column}" if column in OWN else f".columns.{column[:80]}"
    return f"items[{place}]{inner}"
