"""Evaluation cases: who is evaluated, and which items are relevant to each; and cases in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from data_prep.columns import Split
from towers.events.history import History, Sequences
from towers.metrics.ranking_metrics import tie_order


@dataclass(frozen=True)
class Cases:
    """Users with something held out.

    Attributes:
        sequences: the log.
        item_ids: the catalogue's strings, [N].
        split: the held-out split.
        users: [U] users with at least one relevant item.
        ends: [U] position in the log one past the known events of each.
        truth: distinct relevant items of each user.
        exclude_seen: items of a user's history are neither recommended nor relevant.
        cutoffs: the k of the metrics.
        queries: search text of each, [U]; empty where nobody searches.
    """

    sequences: Sequences
    item_ids: Sequence[str]
    split: Split
    users: NDArray[np.int64]
    ends: NDArray[np.int64]
    truth: list[NDArray[np.int64]]
    exclude_seen: bool
    cutoffs: Sequence[int]
    queries: Sequence[str] = ()

    @classmethod
    def held_out(
        cls,
        sequences: Sequences,
        item_ids: Sequence[str],
        split: Split,
        exclude_seen: bool,
        cutoffs: Sequence[int],
        max_users: int | None = None,
        seed: int = 0,
    ) -> "Cases":
        """Everyone with an event in `split`, or a random `max_users` of them; the whole catalogue is ranked always."""
        ends, until = sequences.ends(split), sequences.ends(split + 1)
        keys = np.unique(_keys(*_events(sequences.rows, ends, until), len(item_ids)))
        if exclude_seen:
            seen = _events(sequences.rows, sequences.offsets[:-1], ends)
            keys = keys[~np.isin(keys, _keys(*seen, len(item_ids)))]
        users, rows = np.divmod(keys, max(len(item_ids), 1))
        chosen, first, counts = np.unique(users, return_index=True, return_counts=True)
        kept = np.arange(len(chosen))
        if max_users is not None and len(chosen) > max_users:
            kept = np.sort(np.random.default_rng(seed).choice(len(chosen), max_users, replace=False))
        bounds = zip(first[kept].tolist(), (first + counts)[kept].tolist(), strict=True)
        truth = [rows[start:end] for start, end in bounds]
        return cls(sequences, item_ids, split, chosen[kept], ends[chosen[kept]], truth, exclude_seen, cutoffs)

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Cases":
        """Some of the cases, by their positions, [n]."""
        truth = [self.truth[i] for i in chosen]
        queries = [self.queries[i] for i in chosen] if self.queries else ()
        return replace(self, users=self.users[chosen], ends=self.ends[chosen], truth=truth, queries=queries)

    @cached_property
    def ties(self) -> Tensor:
        """Order of items among equal scores, [N]."""
        return tie_order(self.item_ids)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Order in which cases are evaluated, [U]: shortest histories first, so that little of a batch is padding."""
        return np.argsort(self.ends - self.sequences.offsets[self.users], kind="stable")

    def history(self, case: int) -> History:
        """Known events of the user of one case."""
        return self.sequences.history(int(self.users[case]), int(self.ends[case]))

    def seen(self, case: int) -> NDArray[np.int64]:
        """Items that are not recommended in one case."""
        if not self.exclude_seen:
            return np.zeros(0, np.int64)
        user = self.users[case]
        return self.sequences.rows[self.sequences.offsets[user] : self.ends[case]]

    def truth_pairs(self, cases: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of n cases, and item, of all that is relevant to them, [T] each; cases are positions, [n]."""
        relevant = [self.truth[case] for case in cases]
        return np.repeat(np.arange(len(relevant)), [len(rows) for rows in relevant]), flat(relevant)

    def seen_pairs(self, cases: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of n cases, and item, of all that is not recommended to them, [S] each; an item may come twice."""
        if not self.exclude_seen:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return _events(self.sequences.rows, self.sequences.offsets[self.users[cases]], self.ends[cases])


@dataclass(frozen=True)
class EvaluationBatch:
    """B cases side by side.

    Attributes:
        places: position of each among all cases, [B]; on the CPU.
        histories: of each, B of them.
        queries: search text of each, "" for none, B of them.
        truth_users, truth_rows: the relevant (case of the batch, item) pairs, [T] each.
        seen_users, seen_rows: pairs that are not to be recommended, [S] each.
    """

    places: Tensor
    histories: Sequence[History]
    queries: Sequence[str]
    truth_users: Tensor
    truth_rows: Tensor
    seen_users: Tensor
    seen_rows: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> "EvaluationBatch":
        """The same batch on another device."""
        pairs = (self.truth_users, self.truth_rows, self.seen_users, self.seen_rows)
        moved = (part.to(device, non_blocking=non_blocking) for part in pairs)
        return EvaluationBatch(self.places, self.histories, self.queries, *moved)


class EvaluationBatches(IterableDataset[EvaluationBatch]):
    """Cases in batches, in their `order`, for a data loader.

    Args:
        cases: the cases.
        batch_size: cases scored at a time.
    """

    def __init__(self, cases: Cases, batch_size: int) -> None:
        self.cases = cases
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.cases) // self.batch_size)

    def __iter__(self) -> Iterator[EvaluationBatch]:
        cases = self.cases
        for start in range(0, len(cases), self.batch_size):
            chosen = cases.order[start : start + self.batch_size]
            histories = [cases.history(case) for case in chosen]
            pairs = map(torch.from_numpy, (*cases.truth_pairs(chosen), *cases.seen_pairs(chosen)))
            queries = [cases.queries[case] for case in chosen] if cases.queries else [""] * len(chosen)
            yield EvaluationBatch(torch.from_numpy(chosen), histories, queries, *pairs)


def _events(
    rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of n stretches of a log, and item, of all events in them, stretches one after the other; [S] each.

    Args:
        rows: item of each event of the log, [E].
        starts, ends: position of the first event of each stretch, and one past its last, [n].
    """
    lengths = ends - starts
    stretches = np.repeat(np.arange(len(lengths)), lengths)
    first = starts - np.cumsum(lengths) + lengths  # of each stretch, less the events of those before
    return stretches, rows[np.arange(len(stretches)) + first[stretches]]


def _keys(users: NDArray[np.int64], rows: NDArray[np.int64], num_items: int) -> NDArray[np.int64]:
    """A number for each (user, item) pair, ascending by user, then by item."""
    return users * num_items + rows


def flat(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Arrays one after the other, none or more of them."""
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def sample(cases: Cases, users: int, seed: int) -> Cases:
    """Some of the cases, at random."""
    if len(cases) <= users:
        return cases
    kept = np.sort(np.random.default_rng(seed).choice(len(cases), users, replace=False))
    return cases[kept]
