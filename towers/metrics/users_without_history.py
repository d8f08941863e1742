"""Users without history: known users whose history is taken away stand for them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from towers.events.history import History
from towers.metrics.cases import Cases
from towers.metrics.evaluation import Scorer
from towers.metrics.ranking_metrics import per_user

BY_ATTRIBUTES = "by attributes"


def scores_without_history(scorer: Scorer) -> NDArray[np.float32]:
    """Scores of every item for a user without history, [N]."""
    return scorer.score([History.empty()], [""])[0].numpy()


def metrics_without_history(scores: NDArray[np.float32], cases: Cases) -> NDArray[np.float64]:
    """Metrics of all cases if everybody is shown the same list, [U, M], columns as `metric_names`.

    Items of the history are left out as ever: nobody looks for what they had, and a popular list must not pay
    for that. So the figures differ from those of the same users with their history in what the scorer knows, and in
    nothing else.

    Args:
        scores: of every item, the same for everybody, [N].
        cases: the users.

    Raises:
        ValueError: a score is not a number.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: a ranking of them means nothing")
    order = np.lexsort((cases.ties.numpy(), -scores))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(1, len(order) + 1)
    everyone, block = np.arange(len(cases)), len(order) + 1
    users, rows = cases.truth_pairs(everyone)
    seen_users, seen_rows = cases.seen_pairs(everyone)
    seen = np.unique(seen_users * block + places[seen_rows])  # by case, then place
    above = np.searchsorted(seen, users * block + places[rows]) - np.searchsorted(seen, users * block)  # [T]
    ranks = torch.from_numpy(places[rows] - above)
    metrics = per_user(ranks, torch.from_numpy(users), len(cases), cases.cutoffs)
    return torch.stack(list(metrics.values()), dim=1).numpy()


class ByAttributes:
    """A scorer by the attributes of a user alone, without the history.

    Args:
        scorer: whose scores these are.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.name = f"{scorer.name}, {BY_ATTRIBUTES}"
        self.scorer = scorer

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        """Scores of every item for B people, [B, N]."""
        nothing = History.empty()
        known = [History(nothing.rows, nothing.events, nothing.timestamps, history.attributes) for history in histories]
        return self.scorer.score(known, queries)
