"""What a request says about the one asking."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Asker:
    """Who is asking, by any of: a name, what they did, what they typed.

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
