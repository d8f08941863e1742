"""The requester of a Recall, Rerank or Recommend: whom its answer is for, as the message names them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Requester:
    """Whom a request is for, by any of: a name, what they did, what they typed.

    Attributes:
        user_id: the caller's name for them, "" when not given.
        item_ids: items of their history [L], oldest first.
        events: event type of each [L], or empty when not given.
        timestamps: seconds since the epoch, UTC, of each [L], or empty when not given.
        query: search text without surrounding white space, "" when not given.
    """

    user_id: str = ""
    item_ids: Sequence[str] = ()
    events: Sequence[str] = ()
    timestamps: Sequence[float] = ()
    query: str = ""
