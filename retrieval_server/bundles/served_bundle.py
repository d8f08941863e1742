"""A bundle as a request sees it: the few things an answer is made of, ready to be looked up."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from data_prep.grown_table import Table
from index import Bundle, Filter, Hits, ItemIndex, LiveBundle, LiveIndex, LiveView
from retrieval_server.api.errors import NotReady
from towers import Funnel, History, InputTemplate
from towers.candidates import Fallback


class ItemSearch(Protocol):
    """Finds the rows of the largest inner products; `index.ItemIndex` is one."""

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[NDArray[np.int64]] | None = None,
        allowed: Any = None,
    ) -> list[Hits]:
        """For each of the queries [B, d] or [B, interests, d] at most k rows, best first, none of its excluded ones.

        With `allowed`, which `Narrowing` made for this index, only rows of that.
        """
        ...

    def returnable(self, rows: NDArray[np.int64], exclude: NDArray[np.int64], allowed: Any = None) -> NDArray[np.bool_]:
        """Which of some rows [n] a search that has the same `exclude` and `allowed` may return, [n]."""
        ...

    def current(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that the items of some rows [n] have now, [n]: an item that changes gets another one."""
        ...


class Narrowing(Protocol):
    """Finds the rows that a filter leaves."""

    def __call__(self, wanted: Filter, /) -> Any:
        """What the bundle's searches take as `allowed`.

        Raises:
            UnfitColumn: the items lack a column that the filter asks of.
        """
        ...


class UserEncoding(Protocol):
    """Turns histories and queries into vectors; `towers.UserEncoder` is one."""

    @property
    def max_history(self) -> int:
        """How many events of a history it reads."""
        ...

    def encode(self, histories: Sequence[History], queries: Sequence[str]) -> NDArray[np.float32]:
        """One vector per history and query [B, d], or one for each interest of theirs [B, interests, d]."""
        ...


class Scoring(Protocol):
    """Scores candidate texts against a context; `towers.CrossEncoder` is one."""

    @property
    def input_template(self) -> InputTemplate:
        """How those asking were shown to it in training, and are to be now."""
        ...

    def score(self, context: str, candidates: Sequence[str], recall_scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """One score per candidate [n], higher is better; it may use the towers' own scores [n]."""
        ...


class Histories(Protocol):
    """The histories that came with the bundle."""

    def __call__(self, user_id: str) -> History | None:
        """Somebody's history, or None for a stranger."""
        ...


@dataclass(frozen=True)
class ServedBundle:
    """What every stage of a request reads. A request takes one at its start and keeps it to its end.

    Attributes:
        version: the bundle's version.
        exclude_seen: whether items of the history are kept out of the answer unless the request wants them.
        row_of: row of each item id.
        item_ids: item id of each row [N].
        titles: title of each row [N].
        texts: what the reranker reads of each row [N].
        categories: category of each row [N], None where an item has none; None where items have no categories.
        vectors: vector of each row [N, d], memory-mapped.
        index: finds rows.
        lighter_index: finds nearly as good ones for about half the work; None where there is nothing to save.
        allowed: makes filters ready for either of them.
        user_encoder: turns who is asking into a vector.
        reranker: orders candidates, or None when the bundle has none.
        history: stored history of a user id.
        live: what takes changes of the items; this is its view of one moment. None where they do not change.
        funnel: channels beside the index, and how their candidates are ordered; None where the index does it alone.
        query_funnel: the same for whoever asks by a query.
        fallback: what those of whom nothing is known get; None for the towers' own answer.
        edition: number that no other view in this process has: what was computed for it is good for it alone.
    """

    version: str
    exclude_seen: bool
    row_of: Mapping[str, int]
    item_ids: Table[np.object_]
    titles: Table[np.object_]
    texts: Table[np.object_]
    categories: Table[np.object_] | None
    vectors: Table[np.float32]
    index: ItemSearch
    lighter_index: ItemSearch | None
    allowed: Narrowing
    user_encoder: UserEncoding
    reranker: Scoring | None
    history: Histories
    live: LiveBundle | None = None
    funnel: Funnel | None = None
    query_funnel: Funnel | None = None
    fallback: Fallback | None = None
    edition: int = field(default_factory=count().__next__)

    @classmethod
    def of(cls, source: Bundle | LiveBundle) -> Self:
        """The serving view of a loaded bundle, or of one and the changes since, as it is now."""
        live = source if isinstance(source, LiveBundle) else None
        bundle: Bundle | LiveView = source.view if isinstance(source, LiveBundle) else source
        return cls(
            version=bundle.version,
            exclude_seen=bundle.exclude_seen,
            row_of=bundle.row_of,
            item_ids=bundle.item_ids,
            titles=bundle.titles,
            texts=bundle.texts,
            categories=bundle.categories,
            vectors=bundle.vectors,
            index=bundle.index,
            lighter_index=lighter(bundle.index),
            allowed=bundle.allowed,
            user_encoder=bundle.user_encoder,
            reranker=bundle.reranker,
            history=bundle.history,
            live=live,
            funnel=bundle.funnel,
            query_funnel=bundle.query_funnel,
            fallback=bundle.fallback,
        )


def lighter(index: ItemIndex | LiveIndex) -> ItemIndex | LiveIndex | None:
    """The same index, visiting half as many lists and re-scoring half as many candidates."""
    if isinstance(index, LiveIndex):
        main = lighter(index.main)
        return replace(index, main=main) if isinstance(main, ItemIndex) else None
    parameters = index.parameters
    if parameters.nprobe < 2:
        return None
    copied = copy(index)  # shares everything but the parameters
    copied.parameters = replace(parameters, nprobe=parameters.nprobe // 2, rescore=max(1.0, parameters.rescore / 2))
    return copied


class BundleSlot:
    """Holds the bundle that new requests get. Putting another in is one reference assignment."""

    def __init__(self) -> None:
        self._bundle: ServedBundle | None = None

    def put(self, bundle: ServedBundle) -> None:
        """Give this bundle to every request that starts from now on."""
        self._bundle = bundle

    def peek(self) -> ServedBundle | None:
        """The bundle that a request would get now, None for none yet."""
        return self._bundle

    def take(self) -> ServedBundle:
        """The bundle for one request, from start to end.

        Raises:
            NotReady: nothing has been put in yet.
        """
        bundle = self._bundle
        if bundle is None:
            raise NotReady
        return bundle
