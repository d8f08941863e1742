"""The requester in the bundle's terms: strings become rows, and what the bundle does not know is set aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from retrieval_server.api.requester import Requester
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.events.user_events import UserEvent
from towers import History

UNKNOWN_EVENT = ""
"""Event type of an entry whose request names none; no training event is called so."""


class FallbackReason(StrEnum):
    """Why an answer is not built on what the request named."""

    NONE = ""
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_ITEMS = "unknown_items"
    NO_HISTORY = "no_history"


@dataclass(frozen=True)
class RequesterProfile:
    """The requester as the stages of a request see them.

    Attributes:
        history: the newest events that the bundle knows, at most as many as its user encoder reads.
        query: search text, "" for none.
        seen: every known row of the whole history, with repetitions.
        unknown_item_ids: items of the history that the bundle does not have, each once, in the request's order.
        unknown_item_count: how many events were set aside for that.
        truncated: whether older known events were left out.
        reason: why the answer is not built on what the request named.
    """

    history: History
    query: str
    seen: NDArray[np.int64]
    unknown_item_ids: Sequence[str]
    unknown_item_count: int
    truncated: bool
    reason: FallbackReason

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of them that the model reads: no history, no query, no attributes."""
        return not len(self.history.rows) and not self.query and not any(self.history.attributes.values())


def rows_of(bundle: ServedBundle, item_ids: Sequence[str]) -> NDArray[np.int64]:
    """Rows of the items that the bundle has, in their order."""
    return np.array([bundle.row_of[i] for i in item_ids if i in bundle.row_of], np.int64)


def resolve(bundle: ServedBundle, requester: Requester, recorded: Sequence[UserEvent] = ()) -> RequesterProfile:
    """Look the requester up in the bundle. A history in the request replaces the stored one, but not the attributes.

    Args:
        bundle: where to look.
        requester: whom the request is for.
        recorded: what they did since the bundle was built, oldest first; it follows the stored history.
    """
    stored = bundle.history(requester.user_id) if requester.user_id else None
    if requester.item_ids:
        return _from_request(bundle, requester, {} if stored is None else stored.attributes)
    history = _followed(bundle, History.empty() if stored is None else stored, recorded)
    reason = FallbackReason.NONE
    if requester.user_id and not len(history.rows):
        reason = FallbackReason.UNKNOWN_USER if stored is None else FallbackReason.NO_HISTORY
    return RequesterProfile(
        history=history.last(bundle.user_encoder.max_history),
        query=requester.query,
        seen=history.rows,
        unknown_item_ids=(),
        unknown_item_count=0,
        truncated=len(history.rows) > bundle.user_encoder.max_history,
        reason=reason,
    )


def _followed(bundle: ServedBundle, stored: History, recorded: Sequence[UserEvent]) -> History:
    """A stored history and what happened after its end. What was recorded earlier went into the bundle."""
    end = np.fmax.reduce(stored.timestamps, initial=-np.inf)  # unknown times say nothing
    later = [event for event in recorded if event.timestamp > end and event.item_id in bundle.row_of]
    if not later:
        return stored
    return History(
        rows=np.concatenate([stored.rows, rows_of(bundle, [event.item_id for event in later])]),
        events=[*stored.events, *(event.event for event in later)],
        timestamps=np.concatenate([stored.timestamps, [event.timestamp for event in later]]),
        attributes=stored.attributes,
    )


def _from_request(bundle: ServedBundle, requester: Requester, attributes: Mapping[str, str]) -> RequesterProfile:
    rows = [bundle.row_of.get(item_id, -1) for item_id in requester.item_ids]
    known = [position for position, row in enumerate(rows) if row >= 0]
    unknown = [item_id for item_id, row in zip(requester.item_ids, rows, strict=True) if row < 0]
    events, timestamps = requester.events, requester.timestamps
    history = History(
        rows=np.array([rows[position] for position in known], np.int64),
        events=[events[position] if events else UNKNOWN_EVENT for position in known],
        timestamps=np.array([timestamps[position] if timestamps else np.nan for position in known], np.float64),
        attributes=attributes,
    )
    return RequesterProfile(
        history=history.last(bundle.user_encoder.max_history),
        query=requester.query,
        seen=history.rows,
        unknown_item_ids=list(dict.fromkeys(unknown)),
        unknown_item_count=len(unknown),
        truncated=len(known) > bundle.user_encoder.max_history,
        reason=FallbackReason.NONE if known else FallbackReason.UNKNOWN_ITEMS,
    )
