"""Histories and queries as padded token batches for the user tower.

A token is an item or a query, the type of the event, and the time since the token before it. Queries share the row
space of items: rows 0…N-1 are items, row N + q is query text q, so both go through the item tower alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.errors import UsageError
from towers.events.history import History
from towers.events.user_attributes import UserAttributes

PADDING = -1
QUERY_EVENT = "query"
UNKNOWN_EVENT = 0  # also stands at padding, where it is never looked at
UNKNOWN_GAP = 0
GAP_BUCKETS = 32  # 0 unknown, then one for each doubling of seconds: 2^30 s is 34 years


@dataclass(frozen=True)
class SequenceTokens:
    """A batch of token sequences, padded on the right.

    Attributes:
        rows: [B, L] item or query rows, PADDING beyond a sequence's end.
        events: [B, L] event type codes.
        gaps: [B, L] buckets of the time since the previous token.
        lengths: [B] number of tokens in each sequence.
        attributes: [B, A] codes of the users' attributes; None where nothing is known of them.
    """

    rows: Tensor
    events: Tensor
    gaps: Tensor
    lengths: Tensor
    attributes: Tensor | None = None

    def to(self, device: torch.device, non_blocking: bool = False) -> "SequenceTokens":
        """The same tokens on another device."""
        known = {name: part for name, part in vars(self).items() if part is not None}
        return SequenceTokens(**{name: part.to(device, non_blocking=non_blocking) for name, part in known.items()})


class EventTypes:
    """The event types seen in training, as small integers; 0 is any other.

    Args:
        names: type names; "query" is added.

    Raises:
        UsageError: the log has an event type of that name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if QUERY_EVENT in names:
            raise UsageError(f"event type {QUERY_EVENT!r} is the towers' own name for a search text; map it to another")
        self.names = [*sorted(names), QUERY_EVENT]
        self._codes = {name: code for code, name in enumerate(self.names, start=1)}
        self.query = self._codes[QUERY_EVENT]

    def __len__(self) -> int:
        return len(self.names) + 1

    def codes(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Codes of event type names, [L]."""
        return np.array([self._codes.get(name, UNKNOWN_EVENT) for name in names], np.int64)


def gap_buckets(timestamps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bucket the seconds between neighbours of ascending [..., L] times: 1 + log2(1 + seconds), 0 where unknown."""
    gaps = np.diff(timestamps, prepend=np.nan)
    known = np.isfinite(gaps)
    buckets = 1 + np.log2(1 + np.maximum(np.where(known, gaps, 0), 0)).astype(np.int64)
    return np.where(known, np.minimum(buckets, GAP_BUCKETS - 1), UNKNOWN_GAP)


def pad(
    rows: Sequence[NDArray[np.int64]],
    events: Sequence[NDArray[np.int64]],
    gaps: Sequence[NDArray[np.int64]],
    attributes: Tensor,
) -> SequenceTokens:
    """Stack sequences of B different lengths, and [B, A] codes of their users' attributes, into one batch."""
    lengths = np.array([len(r) for r in rows], np.int64)
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]  # [B, L]
    return SequenceTokens(
        torch.from_numpy(_stacked(rows, inside, PADDING)),
        torch.from_numpy(_stacked(events, inside, UNKNOWN_EVENT)),
        torch.from_numpy(_stacked(gaps, inside, UNKNOWN_GAP)),
        torch.from_numpy(lengths),
        attributes,
    )


def _stacked(parts: Sequence[NDArray[Any]], inside: NDArray[np.bool_], fill: float) -> NDArray[Any]:
    """The parts, a row each, where `inside` [B, L] is true, and `fill`, whose type the result has, elsewhere."""
    padded = np.full(inside.shape, fill)
    padded[inside] = np.concatenate(parts) if parts else []
    return padded


def tokenize(
    histories: Sequence[History],
    query_rows: Sequence[int],
    event_types: EventTypes,
    max_history: int,
    attributes: UserAttributes,
) -> SequenceTokens:
    """Tokens for answering: the newest `max_history` events of each history, then the query.

    Args:
        histories: B histories.
        query_rows: B rows of query texts, PADDING for no query.
        event_types: codes of the model at hand.
        max_history: longest history the user tower reads.
        attributes: codes of the model at hand.
    """
    newest = [history.last(max_history) for history in histories]
    queries = np.array(query_rows, np.int64)
    known = np.array([len(history.rows) for history in newest], np.int64)
    lengths = known + (queries != PADDING)
    inside = np.arange(lengths.max(initial=0)) < known[:, None]  # [B, L]
    rows = _stacked([history.rows for history in newest], inside, PADDING)
    events = np.full(inside.shape, UNKNOWN_EVENT, np.int64)
    events[inside] = event_types.codes([name for history in newest for name in history.events])
    queried = np.flatnonzero(queries != PADDING)
    rows[queried, known[queried]] = queries[queried]
    events[queried, known[queried]] = event_types.query
    gaps = gap_buckets(_stacked([history.timestamps for history in newest], inside, np.nan))
    return SequenceTokens(
        torch.from_numpy(rows),
        torch.from_numpy(events),
        torch.from_numpy(gaps),
        torch.from_numpy(lengths),
        attributes.codes([history.attributes for history in histories]),
    )
