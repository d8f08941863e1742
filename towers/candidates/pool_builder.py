"""What the channels offer users of whom it is known what they relevant, with the towers' part searched exactly."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.progress import track
from towers.candidates.candidate_pool import Found, Pools
from towers.candidates.funnel import Funnel
from towers.candidates.labelled_pools import LabelledPools
from towers.events.history import History
from towers.metrics.cases import Cases
from towers.model.scorer import VectorScorer

USERS_AT_ONCE = 256


def labelled_pools(funnel: Funnel, towers: VectorScorer, cases: Cases) -> LabelledPools:
    """The pools of all cases, in their order.

    Args:
        funnel: the channels.
        towers: the model's one vector; scores the catalogue, and says how much of a history counts.
        cases: users, what they ask for if anything, and what they relevant.
    """
    parts, relevant, missed = [], [], []
    for start in track(range(0, len(cases), USERS_AT_ONCE), "recalling"):
        chosen = range(start, min(start + USERS_AT_ONCE, len(cases)))
        for case, pool in zip(chosen, _pools(funnel, towers, cases, chosen), strict=True):
            inside = np.isin(pool.rows, cases.truth[case])
            parts.append(pool)
            relevant.append(inside)
            missed.append(len(cases.truth[case]) - int(inside.sum()))
    return LabelledPools(Pools.joined(parts), np.concatenate(relevant), np.array(missed, np.int64))


def _pools(funnel: Funnel, towers: VectorScorer, cases: Cases, chosen: range) -> list[Pools]:
    histories = [cases.history(case).last(towers.max_history) for case in chosen]  # as a server reads them
    queries = [cases.queries[case] for case in chosen] if cases.queries else [""] * len(histories)
    seen = [np.unique(cases.seen(case)) for case in chosen]
    return pools_of(funnel, histories, queries, towers.score(histories, queries), seen)


def pools_of(
    funnel: Funnel,
    histories: Sequence[History],
    queries: Sequence[str],
    scores: Tensor,
    seen: Sequence[NDArray[np.int64]],
) -> list[Pools]:
    """What the channels offer each of B users, the towers' part searched exactly.

    Args:
        funnel: the channels.
        histories, queries: who asks, B of each.
        scores: the towers', [B, N].
        seen: rows that must not come back, B arrays.
    """
    own = scores.clone()
    for user, rows in enumerate(seen):
        own[user, rows] = -torch.inf
    best = own.topk(min(funnel.depth, own.shape[1]), dim=1)
    found = [
        Found(rows[np.isfinite(top)], top[np.isfinite(top)])
        for rows, top in zip(best.indices.numpy(), best.values.numpy(), strict=True)
    ]
    everything = scores.numpy()
    return funnel.pools(
        histories,
        queries,
        found,
        lambda user, rows: everything[user, rows],
        lambda user, rows: ~np.isin(rows, seen[user]),
    )
