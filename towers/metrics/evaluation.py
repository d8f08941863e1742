"""Who is evaluated, on what, and how well a scorer does: one code for towers and baselines, in training and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from data_prep.columns import Split
from data_prep.progress import track
from towers.events.history import History, Sequences
from towers.metrics.ranking_metrics import metric_names, per_user, ranks, tie_order


class Scorer(Protocol):
    """Anything that scores the catalogue for users: towers, baselines.

    Attributes:
        name: the row's name in tables.
    """

    name: str

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Scores of every item for B people, [B, N]; higher is better, finite.

        Args:
            histories: B histories, which may be empty.
            queries: B search texts, "" for none. A scorer of words takes the query as the newest event of the history;
                one that cannot read ignores it.
        """


@dataclass(frozen=True)
class Cases:
    """Users with something held out.

    Attributes:
        sequences: the log.
        item_ids: the catalogue's strings, [N].
        split: the held-out split.
        users: [U] users who have at least one item to be found.
        ends: [U] position in the log one past what is known of each.
        truth: for each user the distinct items to be found.
        exclude_seen: items of a user's history are neither recommended nor relevant.
        cutoffs: the k of the metrics.
        queries: what each of them asks for, [U]; empty where nobody asks for anything.
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
        users, truth = [], []
        for user in np.flatnonzero(until > ends):
            relevant = np.unique(sequences.rows[ends[user] : until[user]])
            if exclude_seen:
                relevant = np.setdiff1d(relevant, sequences.rows[sequences.offsets[user] : ends[user]])
            if len(relevant):
                users.append(user)
                truth.append(relevant)
        chosen = np.arange(len(users))
        if max_users is not None and len(users) > max_users:
            chosen = np.sort(np.random.default_rng(seed).choice(len(users), max_users, replace=False))
        picked = np.array(users, np.int64)[chosen]
        return cls(
            sequences,
            item_ids,
            split,
            picked,
            ends[picked],
            [truth[i] for i in chosen],
            exclude_seen,
            cutoffs,
        )

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
        """All that is known of the user of one case."""
        return self.sequences.history(int(self.users[case]), int(self.ends[case]))

    def seen(self, case: int) -> NDArray[np.int64]:
        """Items not to be recommended in one case."""
        if not self.exclude_seen:
            return np.zeros(0, np.int64)
        user = self.users[case]
        return self.sequences.rows[self.sequences.offsets[user] : self.ends[case]]


@dataclass(frozen=True)
class EvaluationBatch:
    """B cases side by side.

    Attributes:
        places: of each among all cases, [B]; on the CPU.
        histories: what is known of each, B of them.
        queries: what each asks for, "" for nothing, B of them.
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
        cases: who is evaluated.
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
            truth = _pairs([cases.truth[case] for case in chosen])
            seen = _pairs([cases.seen(case) for case in chosen])
            queries = [cases.queries[case] for case in chosen] if cases.queries else [""] * len(chosen)
            yield EvaluationBatch(torch.from_numpy(chosen), histories, queries, *truth, *seen)


def _pairs(rows: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    users = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    return torch.from_numpy(users), torch.from_numpy(flat)


def rank_batch(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Metrics of B cases from the scores of the whole catalogue, [B, N] -> [B, M]; `scores` is overwritten."""
    return metrics_of(wanted_ranks(scores, batch, cases), batch, cases)


def wanted_ranks(scores: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Ranks of what B cases want, [T] on the CPU, from scores [B, N], which are overwritten."""
    scores[batch.seen_users, batch.seen_rows] = -torch.inf
    return ranks(scores, batch.truth_users, batch.truth_rows, cases.ties.to(scores.device)).cpu()


def metrics_of(found: Tensor, batch: EvaluationBatch, cases: Cases) -> Tensor:
    """Metrics of B cases from the ranks of what they want, [T] -> [B, M]."""
    metrics = per_user(found, batch.truth_users.cpu(), len(batch.places), cases.cutoffs)
    return torch.stack(list(metrics.values()), dim=1)


def room_for_metrics(cases: Cases) -> Tensor:
    """Room for the metrics of all cases, [U, M], columns as `metric_names`; NaN until a batch brings its own."""
    return torch.full((len(cases), len(metric_names(cases.cutoffs))), torch.nan, dtype=torch.float64)


def mean_metrics(metrics: Tensor, cases: Cases) -> dict[str, float]:
    """Means over all cases, [U, M] -> metric name -> value."""
    return dict(zip(metric_names(cases.cutoffs), metrics.mean(dim=0).tolist(), strict=True))


@dataclass(frozen=True)
class Outcome:
    """What one scorer did on all cases.

    Attributes:
        name: the scorer's.
        metrics: [U, M] each case's metrics, columns as `metric_names`.
        ranks: [T] rank of each relevant item, the cases' one after the other in the order of `truth`.
        top: [U, K] the first K items of each case, K the smallest cutoff; -1 where there were fewer.
    """

    name: str
    metrics: NDArray[np.float64]
    ranks: NDArray[np.int64]
    top: NDArray[np.int64]


def evaluate(scorer: Scorer, cases: Cases, batch_size: int) -> Outcome:
    """Rank the whole catalogue for every case.

    Args:
        scorer: what is evaluated.
        cases: on whom.
        batch_size: cases scored at a time; memory is batch_size * N scores.
    """
    metrics = room_for_metrics(cases)
    depth = min(*cases.cutoffs, len(cases.item_ids))
    top = torch.empty(len(cases), depth, dtype=torch.int64)
    relevant = np.split(np.arange(sum(map(len, cases.truth))), np.cumsum([len(rows) for rows in cases.truth])[:-1])
    found = np.empty(sum(map(len, relevant)), np.int64)
    batches = EvaluationBatches(cases, batch_size)
    for batch in track(batches, f"evaluating {scorer.name}", total=len(batches)):
        scores = scorer.score(batch.histories, batch.queries)
        own = wanted_ranks(scores, batch, cases)
        found[np.concatenate([relevant[place] for place in batch.places.tolist()])] = own.numpy()
        metrics[batch.places] = metrics_of(own, batch, cases)
        best = scores.topk(depth, dim=1)
        top[batch.places] = torch.where(best.values.isfinite(), best.indices, -1).cpu()  # seen is not recommended
    return Outcome(scorer.name, metrics.numpy(), found, top.numpy())


def sample(cases: Cases, users: int, seed: int) -> Cases:
    """Some of the cases, at random."""
    if len(cases) <= users:
        return cases
    kept = np.sort(np.random.default_rng(seed).choice(len(cases), users, replace=False))
    return cases[kept]
