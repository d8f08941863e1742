"""Items of an UpsertItems as columns of the bundle's item table, and the table's faults as fields of the request."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from google.protobuf.struct_pb2 import Struct, Value

from data_prep.columns import Columns
from index import UnfitItems
from retrieval_server.api.errors import InvalidRequest, Violation
from retrieval_server.api.field_checks import ITEM_FIELDS
from retrieval_server.retrieval.v1.admin_pb2 import Item

ColumnValue: TypeAlias = bool | float | str | Sequence["ColumnValue"] | Mapping[str, "ColumnValue"] | None
"""A value of a column, as JSON has them; numbers that JSON cannot write included."""

ItemColumns: TypeAlias = Mapping[str, ColumnValue]
"""An item by column: `item_id`, `text`, and any other column of the bundle's item table."""


def columns_of(item: Item) -> ItemColumns:
    """A checked item by column; what is empty is left out."""
    columns = _mapping(item.columns)
    columns |= {name: value for name in ITEM_FIELDS[:-1] if (value := getattr(item, name))}
    if item.HasField("price"):
        columns[Columns.PRICE] = item.price
    return columns


def refused(unfit: UnfitItems) -> InvalidRequest:
    """The error for items that cannot be served: a violation for each, by its position and column."""
    return InvalidRequest(
        [Violation(_field(position, fault.column), str(fault)) for position, fault in unfit.faults.items()]
    )


def _mapping(struct: Struct) -> dict[str, ColumnValue]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> ColumnValue:
    """A value in Python's terms, numbers that JSON cannot write included: they are refused by their column."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return _mapping(value.struct_value)
        case "list_value":
            return [_plain(element) for element in value.list_value.values]
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _field(position: int, column: str) -> str:
    inner = "" if not column else f".{column}" if column in ITEM_FIELDS else f".columns.{column[:80]}"
    return f"items[{position}]{inner}"
