"""Training batches: histories cut into windows, packed by tokens, the same for the same seed and epoch."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
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
    """A training batch: token sequences, and the items to be predicted at positions of them.

    Attributes:
        tokens: [B, L] what the user tower reads.
        windows: sequence of each prediction, [P], values 0…B-1.
        positions: tokens of that sequence which are known at the prediction, [P], values 0…L.
        positives: the item that followed, [P].
        users: user of each prediction, [P], values 0…U-1; several sequences may be of one user.
        known_users, known_rows: every training event of those users as (user, item) pairs, [K] each: their items are
            no negatives, whatever the window. A query-only example is a user whose items are all answers to the query.
        weights: of each prediction in the loss, [P].
    """

    tokens: SequenceTokens
    windows: Tensor
    positions: Tensor
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
    """The search text before each event: the log's, or one derived from the item at random.

    Attributes:
        logged: [E] row of the event's logged query, PADDING where the log has none; used whenever present.
        derived: [N, V] rows of the texts derived from each item, PADDING for none.
        rate: share of events without a logged query that get a derived one.
    """

    logged: NDArray[np.int64]
    derived: NDArray[np.int64]
    rate: float

    @classmethod
    def of(cls, sequences: Sequences, derived: NDArray[np.int64], rate: float, first_row: int) -> "QueryPlan":
        """Plan for a log whose query texts stand at rows `first_row`… of the text features."""
        logged = np.where(sequences.queries == NO_QUERY, PADDING, sequences.queries + first_row)
        return cls(logged, derived, rate)

    def draw(self, events: slice, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The query row before each event of a window, PADDING for none, [L]."""
        drawn = np.where(rng.random(len(rows)) < self.rate, self._derived(rows, rng), PADDING)
        logged = self.logged[events]
        return np.where(logged != PADDING, logged, drawn)

    def _derived(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """One of the texts derived from each item, [L]."""
        variants = self.derived.shape[1]
        texts: NDArray[np.int64] = self.derived[rows, rng.integers(variants, size=len(rows)) if variants > 1 else 0]
        return texts


@dataclass(frozen=True)
class BatchSettings:
    """How histories become batches.

    Attributes:
        max_history: longest window, events.
        tokens_per_batch: padded tokens in a batch, at most (one window if that is longer).
        query_rate: share of events without a logged query that get a derived one.
        signal_dropout: share of windows whose event types and times are withheld, as a caller may not know them.
        seed: with the epoch, decides everything that is random here.
    """

    max_history: int
    tokens_per_batch: int
    query_rate: float
    signal_dropout: float
    seed: int


@dataclass(frozen=True)
class EpochPlan:
    """The batches of an epoch, not yet made.

    Attributes:
        epoch: its number.
        windows: rows (user, first event, one past the last), [W, 3].
        packs: windows that make a batch together.
        query_only: the query-only examples of the epoch, and the part of them that makes a batch.
        rng: draws whatever else the epoch needs.
    """

    epoch: int
    windows: NDArray[np.int64]
    packs: list[slice]
    query_only: list[tuple[QueryOnlyExamples, slice]]
    rng: np.random.Generator

    def __len__(self) -> int:
        return len(self.packs) + len(self.query_only)


class TrainingBatches(EpochDataset[Batch]):
    """One epoch of windows over every user's training events; each event is predicted once from what came before it.

    Query-only examples, if there are any, stand in batches of their own among the others.

    Events of one instant (a basket) are predicted from what came before all of them: their order in the log is an
    accident, mostly of product codes, and a model that reads it learns that accident instead of the user.

    A history longer than `max_history` is cut into windows whose phase is drawn anew each epoch, so that no
    event always stands at a window's beginning. Windows of like length are packed together up to `tokens_per_batch`.

    Args:
        sequences: the log.
        ends: [U] position one past each user's last training event.
        event_types: the model's codes.
        queries: which events are preceded by a query token.
        settings: lengths, rates and the seed.
        attributes: codes of the users' attributes, [U, A]; None for none.
        query_only: queries without a history to learn from; None for none.

    With several processes each draws the whole batch, as one alone would, and keeps every `world_size`-th window, which
    may be none; users and known items are those of its windows.
    """

    def __init__(
        self,
        sequences: Sequences,
        ends: NDArray[np.int64],
        event_types: EventTypes,
        queries: QueryPlan,
        settings: BatchSettings,
        attributes: Tensor | None = None,
        query_only: QueryOnlyPlan | None = None,
    ) -> None:
        self.sequences = sequences
        self.attributes = torch.zeros(len(sequences), 0, dtype=torch.int64) if attributes is None else attributes
        self.ends = ends
        self.event_types = event_types
        self.event_codes = event_types.codes(sequences.events.tolist())
        self.queries = queries
        self.settings = settings
        self.query_only = None if query_only is None or query_only.empty else query_only
        self._plan: EpochPlan | None = None

    def event_counts(self) -> Tensor:
        """How often each item follows something in one epoch, [N]."""
        part = [self.sequences.rows[s:e] for s, e in zip(self.sequences.offsets[:-1], self.ends, strict=True)]
        counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *part]), minlength=len(self.queries.derived))
        return torch.from_numpy(counts.astype(np.float32))

    def target_counts(self) -> Tensor:
        """How often each item is a target in one epoch, as an answer to queries without a history too, [N]."""
        counts = self.event_counts()
        return counts if self.query_only is None else counts + torch.from_numpy(self.query_only.target_counts()).float()

    def __len__(self) -> int:
        """Batches in the epoch at hand."""
        return len(self.plan())

    def __iter__(self) -> Iterator[Batch]:
        plan = self.plan()
        rng, packs = deepcopy(plan.rng), plan.packs
        for i in rng.permutation(len(plan)):
            if i < len(packs):
                yield self.batch(plan.windows[packs[i]], rng)
            else:
                yield self._query_only_batch(*plan.query_only[i - len(packs)])

    def plan(self) -> EpochPlan:
        """The batches of the epoch at hand, packed once for their number and their contents."""
        if self._plan is None or self._plan.epoch != self.epoch:
            rng = self.rng()
            windows = self.windows(rng)
            self._plan = EpochPlan(self.epoch, windows, self._packed(windows), self._drawn_query_only(rng), rng)
        return self._plan

    def rng(self) -> np.random.Generator:
        """Random numbers of the epoch at hand, from their beginning."""
        return np.random.default_rng((self.settings.seed, self.epoch))

    def windows(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Windows as rows (user, first event, one past the last), in random order within equal lengths."""
        starts, length = self.sequences.offsets[:-1], self.ends - self.sequences.offsets[:-1]
        most = self.settings.max_history
        phase = np.where(length > most, rng.integers(0, most, len(length)), 0)
        number = -(-(length + phase) // most)
        user = np.repeat(np.arange(len(length)), number)
        k = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        first = np.maximum(k * most - phase[user], 0)
        last = np.minimum((k + 1) * most - phase[user], length[user])
        windows = np.stack([user, starts[user] + first, starts[user] + last], axis=1)
        windows = rng.permutation(windows)
        return windows[np.argsort(windows[:, 2] - windows[:, 1], kind="stable")]

    def batch(self, windows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """The batch of some windows, of which this process keeps its share."""
        share = slice(self.rank, None, self.world_size)
        parts = [self._window(slice(first, last), rng) for _, first, last in windows][share]
        windows = windows[share]
        rows, events, gaps, positions, positives = zip(*parts, strict=True) if parts else ([], [], [], [], [])
        number = [len(p) for p in positives]
        people, user = np.unique(windows[:, 0], return_inverse=True)
        known = [self.sequences.rows[self.sequences.offsets[u] : self.ends[u]] for u in people]
        return Batch(
            tokens=pad(rows, events, gaps, self.attributes[torch.from_numpy(windows[:, 0])]),
            windows=torch.from_numpy(np.repeat(np.arange(len(windows)), number)),
            positions=_flat(positions),
            positives=_flat(positives),
            users=torch.from_numpy(np.repeat(user, number)),
            known_users=torch.from_numpy(np.repeat(np.arange(len(people)), [len(rows) for rows in known])),
            known_rows=_flat(known),
            weights=torch.ones(sum(number)),
        )

    def _packed(self, windows: NDArray[np.int64]) -> list[slice]:
        """Neighbouring windows together, as many as the token budget allows."""
        lengths = (windows[:, 2] - windows[:, 1]).tolist()
        packs, start = [], 0
        for i, length in enumerate(lengths):
            if i > start and (i + 1 - start) * length > self.settings.tokens_per_batch:
                packs.append(slice(start, i))
                start = i
        if lengths:
            packs.append(slice(start, len(lengths)))
        return packs

    def _window(self, events: slice, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
        """Token rows, event codes and gaps, each [L], then positions and positives, each [P], of one window.

        A query token stands before the basket that its event is part of. The last basket is only predicted.
        """
        items, times = self.sequences.rows[events], self.sequences.timestamps[events]
        queries = self.queries.draw(events, items, rng)
        queried = np.flatnonzero(queries != PADDING)
        basket = basket_starts(times)
        before = np.searchsorted(basket[queried], basket)  # query tokens of earlier baskets
        query_positions = basket[queried] + np.arange(len(queried))
        positions = np.concatenate([basket + before, query_positions + 1])
        kept = slice(0, int(positions.max()))
        known = rng.random() >= self.settings.signal_dropout
        codes = self.event_codes[events] if known else np.full(len(items), UNKNOWN_EVENT)
        buckets = gap_buckets(times) if known else np.full(len(items), UNKNOWN_GAP)
        rows = np.insert(items, basket[queried], queries[queried])[kept]
        types = np.insert(codes, basket[queried], self.event_types.query)[kept]
        gaps = np.insert(buckets, basket[queried], UNKNOWN_GAP)[kept]
        return rows, types, gaps, positions, np.concatenate([items, items[queried]])

    def _drawn_query_only(self, rng: np.random.Generator) -> list[tuple[QueryOnlyExamples, slice]]:
        """Query-only examples, as many together as tokens fit into a batch."""
        if self.query_only is None:
            return []
        examples, size = self.query_only.draw(rng), self.settings.tokens_per_batch
        return [(examples, slice(start, start + size)) for start in range(0, len(examples), size)]

    def _query_only_batch(self, examples: QueryOnlyExamples, part: slice) -> Batch:
        """Examples of one token each; those for the same text are one user, so that no answer is a negative."""
        share = slice(self.rank, None, self.world_size)
        texts, rows, weights = examples.texts[part][share], examples.rows[part][share], examples.weights[part][share]
        groups, user = np.unique(examples.groups[part][share], return_inverse=True)
        known = examples.known(groups)
        nothing = np.full(1, UNKNOWN_GAP)
        unknown = self.attributes.new_zeros(len(texts), self.attributes.shape[1])
        query = np.full(1, self.event_types.query)
        return Batch(
            tokens=pad(
                [texts[i : i + 1] for i in range(len(texts))], [query] * len(texts), [nothing] * len(texts), unknown
            ),
            windows=torch.arange(len(texts)),
            positions=torch.ones(len(texts), dtype=torch.int64),
            positives=torch.from_numpy(rows),
            users=torch.from_numpy(user),
            known_users=torch.from_numpy(np.repeat(np.arange(len(groups)), [len(rows) for rows in known])),
            known_rows=_flat(known),
            weights=torch.from_numpy(weights),
        )


def _flat(parts: Sequence[NDArray[np.int64]]) -> Tensor:
    """One after the other; nothing for no parts."""
    return torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts]))
