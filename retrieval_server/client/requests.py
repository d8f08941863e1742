"""Arguments of the clients' calls, and the request messages made of them: shared by the two clients."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict, Unpack

from retrieval_server.retrieval.v1.admin_pb2 import DeleteItemsRequest, Item, UpsertItemsRequest
from retrieval_server.retrieval.v1.retrieval_pb2 import (
    Diversity,
    Event,
    Filter,
    History,
    RecallRequest,
    RecommendRequest,
    RecordEventsRequest,
    RerankRequest,
    SimilarItemsRequest,
)

ItemFields = Mapping[str, Any]
"""An item by column: `item_id` and `text`, and any other column of the catalogue."""

K = 10
"""Items asked for unless the caller says otherwise."""


class AnswerOptions(TypedDict, total=False):
    """Options of an answer.

    Attributes:
        with_titles: whether it brings titles.
        with_timings: whether it says how long each stage took.
        budget_ms: milliseconds it may take, 0 for the server's own; what does not fit is left out.
    """

    with_titles: bool
    with_timings: bool
    budget_ms: int


class RequesterFields(TypedDict, total=False):
    """The requester. At least one of `user_id`, `history` and `query` is needed.

    Attributes:
        user_id: somebody the bundle may know.
        history: item ids, oldest first.
        events: event types, one for each item of the history, or none.
        timestamps: seconds since 1970 UTC, one for each item of the history, or none.
        query: search text.
    """

    user_id: str
    history: Sequence[str]
    events: Sequence[str]
    timestamps: Sequence[float]
    query: str


class RerankOptions(RequesterFields, AnswerOptions, total=False):
    """Arguments of a Rerank, beside its candidates."""


class FilterOptions(TypedDict, total=False):
    """Conditions on items: all that are given must hold.

    Attributes:
        categories, brands: the item's is one of these.
        min_price, max_price: bounds of its price, both included.
        in_stock: whether it is in stock.
        allow: the only item ids that may come back.
        deny: item ids that may not.
    """

    categories: Sequence[str]
    brands: Sequence[str]
    min_price: float
    max_price: float
    in_stock: bool
    allow: Sequence[str]
    deny: Sequence[str]


class DiversityOptions(TypedDict, total=False):
    """Diversity of an answer. What is left out is as the server has it.

    Attributes:
        method: "mmr" or "dpp".
        strength: weight of being unlike the others against the score, 0 to 1.
        max_per_category: items of one category while there are others, 0 for any number.
        collapse_duplicates: whether of items that are all but the same only the best one comes.
    """

    method: str
    strength: float
    max_per_category: int
    collapse_duplicates: bool


class ItemOptions(TypedDict, total=False):
    """Options of the items that may come back from the catalogue.

    Attributes:
        k: how many items; fewer come back where fewer satisfy the filter.
        include_seen: whether items of the history may come back.
        exclude: item ids that may not.
        filter: conditions on the items.
        diversity: of the items; {} for the server's own.
    """

    k: int
    include_seen: bool
    exclude: Sequence[str]
    filter: FilterOptions
    diversity: DiversityOptions


class RecallOptions(RerankOptions, ItemOptions, total=False):
    """Arguments of a Recall.

    Attributes:
        explain: whether the answer brings each recall channel's places and scores of its items.
    """

    explain: bool


class RecommendOptions(RecallOptions, total=False):
    """Arguments of a Recommend.

    Attributes:
        candidates: how many items to recall and rerank, 0 for the server's default.
    """

    candidates: int


class SimilarOptions(AnswerOptions, total=False):
    """Arguments of a SimilarItems, beside its items.

    Attributes:
        k: how many items.
        exclude: item ids that may not come back.
        filter: conditions on the items.
    """

    k: int
    exclude: Sequence[str]
    filter: FilterOptions


class EventFields(TypedDict):
    """One event of a RecordEvents.

    Attributes:
        user_id: who.
        item_id: with what.
        event: how ("view", "cart", "purchase", …).
        timestamp: when, seconds since 1970 UTC; now without it.
        event_id: the caller's name for it, by which a repetition is recognised; a new random one without it.
    """

    user_id: str
    item_id: str
    event: NotRequired[str]
    timestamp: NotRequired[float]
    event_id: NotRequired[str]


def recall_request(**options: Unpack[RecallOptions]) -> RecallRequest:
    """The message of a Recall."""
    return RecallRequest(**_message(options, k=K))


def rerank_request(candidate_ids: Sequence[str], **options: Unpack[RerankOptions]) -> RerankRequest:
    """The message of a Rerank of these candidates."""
    return RerankRequest(**_message(options), candidate_ids=_strings("candidate_ids", candidate_ids))


def recommend_request(**options: Unpack[RecommendOptions]) -> RecommendRequest:
    """The message of a Recommend."""
    return RecommendRequest(**_message(options, k=K))


def similar_request(item_ids: Sequence[str], **options: Unpack[SimilarOptions]) -> SimilarItemsRequest:
    """The message of a SimilarItems to these items."""
    return SimilarItemsRequest(**_message(options, k=K), item_ids=_strings("item_ids", item_ids))


def record_request(events: Sequence[EventFields]) -> RecordEventsRequest:
    """The message of a RecordEvents."""
    return RecordEventsRequest(events=[_event({"event_id": uuid.uuid4().hex, **event}) for event in events])


class UnsendableItem(TypeError):
    """An item with a value that a message cannot hold; the text names its position and the field."""


def upsert_request(items: Sequence[ItemFields]) -> UpsertItemsRequest:
    """The message of an UpsertItems.

    Raises:
        UnsendableItem: an item has a value that a message cannot hold.
    """
    return UpsertItemsRequest(items=[_item(position, item) for position, item in enumerate(items)])


def delete_request(item_ids: Sequence[str]) -> DeleteItemsRequest:
    """The message of a DeleteItems."""
    return DeleteItemsRequest(item_ids=_strings("item_ids", item_ids))


def _item(position: int, columns: ItemFields) -> Item:
    """An item's message; what is None is left out, columns that are no field of it go into `columns`.

    Raises:
        UnsendableItem: a value that a message cannot hold.
    """
    field_names = {*Item.DESCRIPTOR.fields_by_name} - {"columns"}
    item = Item()
    for name, value in columns.items():
        if value is None:
            continue
        try:
            if name in field_names:
                setattr(item, name, value)
            else:
                item.columns.update({name: value})
        except (TypeError, ValueError) as error:
            raise UnsendableItem(f"items[{position}].{name}: {value!r} cannot be sent: {error}") from error
    return item


def _event(fields: Any) -> Event:
    return Event(**fields)


def _message(options: Any, **defaults: Any) -> dict[str, Any]:
    """Fields of the message: those of its parts that are messages made such, `exclude` under its name on the wire."""
    fields = defaults | dict(options)
    if "exclude" in fields:
        fields["exclude_ids"] = _strings("exclude", fields.pop("exclude"))
    if "filter" in fields:
        fields["filter"] = _filter(fields["filter"])
    if "diversity" in fields:
        fields["diversity"] = Diversity(**fields["diversity"])
    arrays: dict[str, Any] = {name: fields.pop(name) for name in ("events", "timestamps") if name in fields}
    if "history" in fields:
        arrays["item_ids"] = _strings("history", fields.pop("history"))
    return fields | ({"history": History(**arrays)} if arrays else {})


def _filter(conditions: FilterOptions) -> Filter:
    named = {"allow": "allow_ids", "deny": "deny_ids"}
    fields: dict[str, Any] = {named.get(name, name): value for name, value in conditions.items()}
    for name in ("categories", "brands", "allow_ids", "deny_ids"):
        if name in fields:
            _strings(f"filter.{name}", fields[name])
    return Filter(**fields)


def _strings(name: str, ids: Sequence[str]) -> Sequence[str]:
    """The ids, checked: protobuf's own message for a number does not say which field or why."""
    for position, item_id in enumerate(ids):
        if not isinstance(item_id, str):
            raise TypeError(
                f"{name}[{position}] is {item_id!r}, a {type(item_id).__name__}: ids are strings, pass str(…)"
            )
    return ids
