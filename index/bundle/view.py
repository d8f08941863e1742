"""One version of a catalogue at one moment, as a request reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from data_prep.grown_table import Table
from index.bundle.parts import Parts
from index.search.filters import Filter
from towers import History


class Narrowing(Protocol):
    """Finds the rows that a filter leaves."""

    def __call__(self, condition: Filter, /) -> Any:
        """The rows it leaves, as searches of the same view take them for `allowed`.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        ...


class HistoryLookup(Protocol):
    """Finds the history of a user."""

    def __call__(self, user_id: str, /) -> History | None:
        """A user's newest events, oldest first; None for a user that the bundle does not know."""
        ...


@dataclass(frozen=True, kw_only=True)
class BundleView(Parts):
    """The parts of a bundle and how requests look things up in them. Never changes: a request holds one to its end.

    Attributes:
        version: the bundle's name.
        exclude_seen: whether items of a history are left out of its answers unless asked for.
        row_of: row of each item id.
        item_ids: the callers' strings, by row [N].
        titles: by row [N].
        texts: by row as the cross-encoder is shown them [N].
        categories: by row [N], None where an item has none; None where the items have no such column.
        allowed: makes the rows that a filter leaves ready for a search.
        history: stored history of a user.
    """

    version: str
    exclude_seen: bool
    row_of: Mapping[str, int]
    item_ids: Table[np.object_]
    titles: Table[np.object_]
    texts: Table[np.object_]
    categories: Table[np.object_] | None
    allowed: Narrowing
    history: HistoryLookup

    def as_view(self) -> dict[str, Any]:
        """Every field of a view by name, for another view to be made of."""
        return {field.name: getattr(self, field.name) for field in fields(BundleView)}
