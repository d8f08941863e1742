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


def per_user(found: Tensor, users: Tensor, num_users: int, cutoffs: Sequence[int]) -> dict[str, Tensor]:
    """Metrics of each user from the ranks of all their held-out items.

    Binary relevance. Recall@k = found in the first k / held out; HitRate@k = any found; NDCG@k with gain
    1 / log2(1 + rank) over the best possible at k (Järvelin & Kekäläinen, 2002); MRR@k = 1 / best rank, 0 beyond k.

    Args:
        found: rank of each held-out item, [T].
        users: user of each, [T], values 0…num_users-1; every user has at least one.
        num_users: B.
        cutoffs: the k.

    Returns:
        metric name ("ndcg@10") -> [B] float64.
    """
    held_out = torch.bincount(users, minlength=num_users).double()  # [B]
    gain = 1 / torch.log2(1 + found.double())  # [T]
    best = torch.full((num_users,), torch.inf, dtype=torch.float64)
    best = best.scatter_reduce(0, users, found.double(), "amin")
    metrics: dict[str, Tensor] = {}
    for k in cutoffs:
        inside = found <= k

        def total(values: Tensor, kept: Tensor = inside) -> Tensor:
            return torch.zeros(num_users, dtype=torch.float64).index_add_(0, users[kept], values[kept])

        ideal = torch.cumsum(1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64)), dim=0)  # [k]
        hits = total(torch.ones_like(gain))
        metrics[f"recall@{k}"] = hits / held_out
        metrics[f"ndcg@{k}"] = total(gain) / ideal[(held_out.clamp(max=k) - 1).long()]
        metrics[f"mrr@{k}"] = torch.where(best <= k, 1 / best, 0.0)
        metrics[f"hit_rate@{k}"] = (hits > 0).double()
    return metrics


def bootstrap_intervals(
    values: NDArray[np.float64], samples: int, confidence: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap intervals of column means, resampling users (Efron & Tibshirani, 1993).

    Args:
        values: [U, M], a row a user, a column a metric.
        samples: bootstrap samples.
        confidence: e.g. .95.
        seed: of the resampling.

    Returns:
        Lower and upper bounds, each [M].
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    means = np.empty((samples, values.shape[1]))
    for i in range(samples):
        weights = np.bincount(rng.integers(0, n, n), minlength=n)
        means[i] = weights @ values / n
    tail = (1 - confidence) / 2
    return np.quantile(means, tail, axis=0), np.quantile(means, 1 - tail, axis=0)
