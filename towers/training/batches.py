"""Training batches: histories cut into windows, packed by tokens, the same for the same seed and epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.events.history import NO_QUERY, Sequences, basket_starts
from towers.fitting.trainer import EpochDataset
from towers.modules.tokens import PADDING, UNKNOWN_EVENT, UNKNOWN_GAP, EventTypes, SequenceTokens, gap_buckets, pad
from towers.training.query_only_examples import QueryOnlyExamples, QueryOnlyPlan


@dataclass(frozen=True)
class Batch:
    """A training batch: token sequences, and what is to be predicted at which moment of them.

    Attributes:
        tokens: [B, L] what the user tower reads.
        windows: sequence of each prediction, [P], values 0…B-1.
        moments: tokens of that sequence which are known by then, [P], values 0…L.
        positives: the item that followed, [P].
        users: user of each prediction, [P], values 0…U-1; several sequences may be one user's.
        known_users, known_rows: every training event of those users as (user, item) pairs, [K] each: their items are
            no negatives, whatever the window. A search without a history is a user whose items are all its answers.
        weights: what each prediction counts in the loss, [P].
    """

    tokens: SequenceTokens
    windows: Tensor
    moments: Tensor
    positives: Tensor
    users: Tensor
    known_users: Tensor
    known_rows: Tensor
    weights: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return Batch(**{name: part.to(device, non_blocking=non_blocking) for name, part in vars(self).items()})


@dataclass(frozen=True)
class QueryPlan:
    """Which search text stands before an event.

    Attributes:
        logged: [E] row of the event's own query, PADDING where the log has none; used whenever present.
        derived: [N, V] rows of the texts derived from each item, PADDING for none.
        rate: share of events without a logged query that get the derived one.
    """

    logged: NDArray[np.int64]
    derived: NDArray[np.int64]
    rate: float

    @classmethod
    def of(cls, sequences: Sequences, derived: NDArray[np.int64], rate: float, first_row: int) -> "QueryPlan":
        """Plan for a log whose query texts stand at rows `first_row`… of the text features."""
        logged = np.where(sequences.queries == NO_QUERY, PADDING, sequences.queries + first_row)
        return cls(logged, derived, rate)

    def draw(self, positions: slice, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The query row before each event of a window, PADDING for none, [L]."""
        asked = np.where(rng.random(len(rows)) < self.rate, self._derived(rows, rng), PADDING)
        logged = self.logged[positions]
        return np.where(logged != PADDING, logged, asked)

    def _derived(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One of the texts derived from each item, [L]."""
        variants = self.derived.shape[1]
        texts: NDArray[np.int64] = self.derived[rows, rng.integers(variants, size=len(rows)) if variants > 1 else 0]
        return texts


class TrainingBatches(EpochDataset[Batch]):
    """One epoch of windows over every user's training events; each event is predicted once from what came before it.

    Searches without a history, if there are any, stand in batches of their own among the others.

    Events of one instant (a basket) are predicted from what came before all of them: their order in the log is an
    accident, mostly of product codes, and a model that reads it learns that accident instead of the shopper.

    A history longer than `max_history` is cut into windows whose phase is drawn anew each epoch, so that no
    event always stands at a window's beginning. Windows of like length are packed together up to `tokens_per_batch`.

    Args:
        sequences: the log.
        ends: [U] position one past each user's last training event.
        event_types: the model's codes.
        queries: which events are preceded by a query token.
        max_history: longest window, events.
        tokens_per_batch: padded tokens in a batch, at most (one window if that is longer).
        signal_dropout: share of windows whose event types and times are withheld, as a caller may not know them.
        seed: with `epoch`, decides everything that is random here.
        attributes: codes of the users' attributes, [U, A]; None for none.
        asked: searches without a history; None for none.

    With several ranks every one draws the whole batch, as one alone would, and keeps each `ranks`-th window, which may
    be none; users and known items are those of its own windows.
    """

    def __init__(
        self,
        sequences: Sequences,
        ends: NDArray[np.int64],
        event_types: EventTypes,
        queries: QueryPlan,
        max_history: int,
        tokens_per_batch: int,
        signal_dropout: float,
        seed: int,
        attributes: Tensor | None = None,
        asked: QueryOnlyPlan | None = None,
    ) -> None:
        self.sequences = sequences
        self.attributes = torch.zeros(len(sequences), 0, dtype=torch.int64) if attributes is None else attributes
        self.ends = ends
        self.event_types = event_types
        self.event_codes = event_types.codes(sequences.events.tolist())
        self.queries = queries
        self.max_history = max_history
        self.tokens_per_batch = tokens_per_batch
        self.signal_dropout = signal_dropout
        self.seed = seed
        self.asked = None if asked is None or asked.empty else asked

    def event_counts(self) -> Tensor:
        """How often each item follows something in one epoch, [N]."""
        part = [self.sequences.rows[s:e] for s, e in zip(self.sequences.offsets[:-1], self.ends, strict=True)]
        counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *part]), minlength=len(self.queries.derived))
        return torch.from_numpy(counts.astype(np.float32))

    def target_counts(self) -> Tensor:
        """How often each item is a target in one epoch, as an answer to searches without a history too, [N]."""
        counts = self.event_counts()
        return counts if self.asked is None else counts + torch.from_numpy(self.asked.target_counts()).float()

    def __len__(self) -> int:
        """Batches in the epoch at hand."""
        rng = self._rng()
        windows = self._windows(rng)
        return len(self._packed(windows)) + len(self._searches(rng))

    def __iter__(self) -> Iterator[Batch]:
        rng = self._rng()
        windows = self._windows(rng)
        packs = self._packed(windows)
        searches = self._searches(rng)
        for i in rng.permutation(len(packs) + len(searches)):
            yield (
                self._batch(windows[packs[i]], rng) if i < len(packs) else self._search_batch(searches[i - len(packs)])
            )

    def _searches(self, rng: np.random.Generator) -> list[tuple[QueryOnlyExamples, slice]]:
        """Searches without a history, as many together as tokens fit into a batch."""
        if self.asked is None:
            return []
        asked, size = self.asked.draw(rng), self.tokens_per_batch
        return [(asked, slice(start, start + size)) for start in range(0, len(asked), size)]

    def _search_batch(self, search: tuple[QueryOnlyExamples, slice]) -> Batch:
        """Searches of one token each; searches for the same text are one user, so that no answer is a negative."""
        asked, part = search
        own = slice(self.rank, None, self.ranks)
        texts, rows, weights = asked.texts[part][own], asked.rows[part][own], asked.weights[part][own]
        groups, user = np.unique(asked.groups[part][own], return_inverse=True)
        known = asked.known(groups)
        nothing = np.full(1, UNKNOWN_GAP)
        unknown = self.attributes.new_zeros(len(texts), self.attributes.shape[1])
        query = np.full(1, self.event_types.query)
        return Batch(
            tokens=pad(
                [texts[i : i + 1] for i in range(len(texts))], [query] * len(texts), [nothing] * len(texts), unknown
            ),
            windows=torch.arange(len(texts)),
            moments=torch.ones(len(texts), dtype=torch.int64),
            positives=torch.from_numpy(rows),
            users=torch.from_numpy(user),
            known_users=torch.from_numpy(np.repeat(np.arange(len(groups)), [len(rows) for rows in known])),
            known_rows=_flat(known),
            weights=torch.from_numpy(weights),
        )

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch))

    def _windows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Windows as rows (user, first event, one past the last), in random order within equal lengths."""
        starts, length = self.sequences.offsets[:-1], self.ends - self.sequences.offsets[:-1]
        phase = np.where(length > self.max_history, rng.integers(0, self.max_history, len(length)), 0)
        number = -(-(length + phase) // self.max_history)
        user = np.repeat(np.arange(len(length)), number)
        k = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        first = np.maximum(k * self.max_history - phase[user], 0)
        last = np.minimum((k + 1) * self.max_history - phase[user], length[user])
        windows = np.stack([user, starts[user] + first, starts[user] + last], axis=1)
        windows = rng.permutation(windows)
        return windows[np.argsort(windows[:, 2] - windows[:, 1], kind="stable")]

    def _packed(self, windows: NDArray[np.int64]) -> list[slice]:
        """Neighbouring windows together, as many as the token budget allows."""
        lengths = (windows[:, 2] - windows[:, 1]).tolist()
        packs, start = [], 0
        for i, length in enumerate(lengths):
            if i > start and (i + 1 - start) * length > self.tokens_per_batch:
                packs.append(slice(start, i))
                start = i
        if lengths:
            packs.append(slice(start, len(lengths)))
        return packs

    def _batch(self, windows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        own = slice(self.rank, None, self.ranks)
        parts = [self._window(slice(first, last), rng) for _, first, last in windows][own]
        windows = windows[own]
        rows, events, gaps, moments, positives = zip(*parts, strict=True) if parts else ([], [], [], [], [])
        number = [len(p) for p in positives]
        people, user = np.unique(windows[:, 0], return_inverse=True)
        known = [self.sequences.rows[self.sequences.offsets[u] : self.ends[u]] for u in people]
        return Batch(
            tokens=pad(rows, events, gaps, self.attributes[torch.from_numpy(windows[:, 0])]),
            windows=torch.from_numpy(np.repeat(np.arange(len(windows)), number)),
            moments=_flat(moments),
            positives=_flat(positives),
            users=torch.from_numpy(np.repeat(user, number)),
            known_users=torch.from_numpy(np.repeat(np.arange(len(people)), [len(rows) for rows in known])),
            known_rows=_flat(known),
            weights=torch.ones(sum(number)),
        )

    def _window(self, positions: slice, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        """Token rows, event codes and gaps, each [L], then moments and positives, each [P], of one window.

        A query token stands before the basket that its event is part of. The last basket is only predicted.
        """
        items, times = self.sequences.rows[positions], self.sequences.timestamps[positions]
        queries = self.queries.draw(positions, items, rng)
        asked = np.flatnonzero(queries != PADDING)
        basket = basket_starts(times)
        before = np.searchsorted(basket[asked], basket)  # query tokens of earlier baskets
        query_places = basket[asked] + np.arange(len(asked))
        moments = np.concatenate([basket + before, query_places + 1])
        kept = slice(0, int(moments.max()))
        known = rng.random() >= self.signal_dropout
        codes = self.event_codes[positions] if known else np.full(len(items), UNKNOWN_EVENT)
        buckets = gap_buckets(times) if known else np.full(len(items), UNKNOWN_GAP)
        rows = np.insert(items, basket[asked], queries[asked])[kept]
        events = np.insert(codes, basket[asked], self.event_types.query)[kept]
        gaps = np.insert(buckets, basket[asked], UNKNOWN_GAP)[kept]
        return rows, events, gaps, moments, np.concatenate([items, items[asked]])


def _flat(parts: Sequence[NDArray[np.int64]]) -> Tensor:
    """One after the other; nothing for no parts."""
    return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts]))
