"""Candidate pools of known users, the towers' channel searched exactly."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.progress import track
from towers.candidates.candidate_pool import CandidatePools, ChannelCandidates
from towers.candidates.funnel import Funnel
from towers.candidates.labelled_pools import LabelledPools
from towers.events.history import History
from towers.metrics.cases import Cases
from towers.model.scorer import VectorScorer

USERS_AT_ONCE = 256


def labelled_pools(funnel: Funnel, towers: VectorScorer, cases: Cases) -> LabelledPools:
    """The labelled pools of all cases, in their order.

    Args:
        funnel: the channels.
        towers: the model's one vector; it scores the catalogue, and says how much of a history counts.
        cases: users, their query if any, and their relevant items.
    """
    parts, relevant, not_retrieved = [], [], []
    for start in track(range(0, len(cases), USERS_AT_ONCE), "recalling"):
        chosen = range(start, min(start + USERS_AT_ONCE, len(cases)))
        for case, pool in zip(chosen, _pools_of_cases(funnel, towers, cases, chosen), strict=True):
            inside = np.isin(pool.rows, cases.truth[case])
            parts.append(pool)
            relevant.append(inside)
            not_retrieved.append(len(cases.truth[case]) - int(inside.sum()))
    return LabelledPools(CandidatePools.joined(parts), np.concatenate(relevant), np.array(not_retrieved, np.int64))


def _pools_of_cases(funnel: Funnel, towers: VectorScorer, cases: Cases, chosen: range) -> list[CandidatePools]:
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
) -> list[CandidatePools]:
    """The pools of B users, the towers' channel searched exactly.

    Args:
        funnel: the channels.
        histories, queries: of the users, B of each.
        scores: the towers', [B, N].
        seen: rows that must not come back, B arrays.
    """
    allowed = scores.clone()
    for user, rows in enumerate(seen):
        allowed[user, rows] = -torch.inf
    best = allowed.topk(min(funnel.depth, allowed.shape[1]), dim=1)
    by_towers = [
        ChannelCandidates(rows[np.isfinite(top)], top[np.isfinite(top)])
        for rows, top in zip(best.indices.numpy(), best.values.numpy(), strict=True)
    ]
    everything = scores.numpy()
    return funnel.pools(
        histories,
        queries,
        by_towers,
        lambda user, rows: everything[user, rows],
        lambda user, rows: ~np.isin(rows, seen[user]),
    )
