"""Ranking metrics over the whole catalogue, exact and tie-safe. Sampled metrics do not exist here.

Equal scores are ordered by item_id, descending, whatever the item: trec_eval's rule. So a scorer that returns the same
number everywhere gains nothing, and every figure agrees with trec_eval's.

A user whose held-out items are b and c, in a catalogue of four:

    >>> scores = torch.tensor([[0.1, 0.9, 0.1, 0.3]])  # of a, b, c, d: b is first, d second; c and a tie, c before a
    >>> users, held_out = torch.tensor([0, 0]), torch.tensor([1, 2])
    >>> found = ranks(scores, users, held_out, tie_order(["a", "b", "c", "d"]))
    >>> found
    tensor([1, 3])

At 2, one of two is found (recall 1/2), at the first place (hit rate 1, reciprocal rank 1); NDCG is the gain of rank 1
over that of ranks 1 and 2, 1 / (1 + 1 / log2(3)):

    >>> {name: round(value.item(), 4) for name, value in per_user(found, users, 1, [2]).items()}
    {'recall@2': 0.5, 'ndcg@2': 0.6131, 'mrr@2': 1.0, 'hit_rate@2': 1.0}
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RECALL, NDCG, MRR, HIT_RATE = METRICS = ("recall", "ndcg", "mrr", "hit_rate")
"""Metrics, in the order of the columns of every table of them; a column is named `ndcg@10`."""

CUTOFF = 10
"""The k of the NDCG by which everything is chosen: epochs, weights, channels, rankers."""

NOT_FOUND = 1_000_000
"""The rank of an item that is not among the candidates."""


def tie_order(item_ids: Sequence[str]) -> Tensor:
    """Place of every item among equal scores, [N]: 0 is the item_id that sorts last."""
    order = np.argsort(np.asarray(item_ids, dtype=object), kind="stable")[::-1]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return torch.from_numpy(places)


def ranks(scores: Tensor, users: Tensor, rows: Tensor, ties: Tensor) -> Tensor:
    """Rank of given items in their users' rankings, 1 for the best.

    Args:
        scores: [B, N]; -inf for items that are not to be recommended.
        users: user of each relevant item, [T], values 0…B-1.
        rows: the relevant items, [T].
        ties: `tie_order` of the catalogue, [N].

    Returns:
        [T] int64.

    Raises:
        ValueError: a score is not a number.
    """
    matrix = scores.cpu().numpy()
    if matrix.size and np.isnan(matrix.min()):  # the least of numbers and NaN is NaN
        raise ValueError("scores hold NaN: a ranking of them means nothing")
    places, relevant = ties.cpu().numpy(), rows.cpu().numpy()
    found = np.empty(len(relevant), np.int64)
    for i, (user, item) in enumerate(zip(users.tolist(), relevant.tolist(), strict=True)):
        found[i] = _rank(matrix[user], item, places)
    return torch.from_numpy(found)


def _rank(scores: NDArray[np.float32], item: int, places: NDArray[np.int64]) -> int:
    """Rank of one item among one user's scores [N]: two counts, far cheaper than sorting.

    A count over one contiguous row is vectorised; over blocks of rows it takes two to three times as long from some
    thousand items on.
    """
    score = scores[item]
    above = int(np.count_nonzero(scores > score))
    if np.count_nonzero(scores >= score) > above + 1:
        above += int(np.count_nonzero((scores == score) & (places < places[item])))
    return above + 1


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """Names of all metrics at some cutoffs, in the order of the columns of every table of metrics."""
    return [f"{metric}@{k}" for k in cutoffs for metric in METRICS]


def per_user(item_ranks: Tensor, users: Tensor, num_users: int, cutoffs: Sequence[int]) -> dict[str, Tensor]:
    """Metrics of each user from the ranks of all their held-out items.

    Binary relevance. Recall@k = found in the first k / held out; HitRate@k = any found; NDCG@k see `ndcg`; MRR@k =
    1 / best rank, 0 beyond k.

    Args:
        item_ranks: rank of each held-out item, [T].
        users: user of each, [T], values 0…num_users-1; every user has at least one.
        num_users: B.
        cutoffs: the k.

    Returns:
        metric name -> [B] float64, as `metric_names` orders them.
    """
    held_out = torch.bincount(users, minlength=num_users)  # [B]
    best = torch.full((num_users,), torch.inf, dtype=torch.float64)
    best = best.scatter_reduce(0, users, item_ranks.double(), "amin")
    metrics: dict[str, Tensor] = {}
    for k in cutoffs:
        inside = users[item_ranks <= k]
        hits = torch.bincount(inside, minlength=num_users).double()
        figures = {
            RECALL: hits / held_out.double(),
            NDCG: ndcg(item_ranks, users, held_out, k),
            MRR: torch.where(best <= k, 1 / best, 0.0),
            HIT_RATE: (hits > 0).double(),
        }
        metrics |= {f"{metric}@{k}": figures[metric] for metric in METRICS}
    return metrics


def ndcg(item_ranks: Tensor, users: Tensor, relevant: Tensor, k: int) -> Tensor:
    """NDCG@k of binary relevance: gains of 1 / log2(1 + rank) over the best possible at k.

    Source: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.

    Args:
        item_ranks: rank of each relevant item, [T]; one that was not retrieved may be left out, or stand beyond k.
        users: user of each, [T], values 0…B-1.
        relevant: number of relevant items of each user, retrieved or not, [B]; a user with none has 0.
        k: cutoff.

    Returns:
        [B] float64.
    """
    ideal = torch.cumsum(1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64)), dim=0)  # [k]
    reached = _discounted(torch.ones(len(item_ranks), dtype=torch.float64), item_ranks, users, len(relevant), k)
    return reached / ideal[relevant.clamp(1, k) - 1]


def graded_ndcg(item_ranks: Tensor, queries: Tensor, grades: Tensor, num_queries: int, k: int) -> Tensor:
    """NDCG@k with gain 2^grade - 1 and discount 1 / log2(1 + rank); items without a judgement gain nothing.

    The ideal puts all judged items of the query, found or not, in the order of their grades. A query without an item
    of a grade above 0 has 0. Source: as of `ndcg`; the exponential gain is of Burges et al., "Learning to rank using
    gradient descent", 2005.

    Args:
        item_ranks: rank of each judged item, 1 for the best, [T]; beyond k for one that was not item_ranks.
        queries: query of each, [T], values 0…num_queries-1.
        grades: of each, [T].
        num_queries: Q.
        k: cutoff.

    Returns:
        [Q] float64.
    """
    gain = torch.exp2(grades.double()) - 1  # [T]
    best_first = torch.argsort(grades, descending=True, stable=True)
    best_first = best_first[torch.argsort(queries[best_first], stable=True)]  # by query, then grade
    sizes = torch.bincount(queries, minlength=num_queries)
    starts = torch.cumsum(sizes, dim=0) - sizes
    ideal_rank = torch.arange(len(queries)) - starts[queries[best_first]] + 1
    reached = _discounted(gain, item_ranks, queries, num_queries, k)
    ideal = _discounted(gain[best_first], ideal_rank, queries[best_first], num_queries, k)
    return torch.where(ideal > 0, reached / ideal.clamp(min=1e-300), 0.0)


def _discounted(gain: Tensor, item_ranks: Tensor, users: Tensor, num_users: int, k: int) -> Tensor:
    """Sum of each user's gains within the first k, each over log2(1 + rank), [B]."""
    inside = item_ranks <= k
    value = gain[inside] / torch.log2(1 + item_ranks[inside].double())
    return torch.zeros(num_users, dtype=torch.float64).index_add_(0, users[inside], value)
