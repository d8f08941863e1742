"""Hard negatives: the items each user would be recommended now, were they not wrong."""

from collections.abc import Callable

import torch
from torch import Tensor

from data_prep.config import require
from towers.modules.tokens import PADDING

SCORES_AT_ONCE = 16_000_000
"""Scores in memory at a time while mining, 64 MB."""


class Hard:
    """Hard negatives of each row: its best items by exact search, with a margin against false negatives.

    They are searched with the user vectors of the batch in a catalogue of item vectors that is encoded anew every
    `refresh` steps and at the start of an epoch (so that a resumed run mines as an uninterrupted one). Of a row's
    ranking, without what its user is known to have, the first `skip` are passed over, and every item that
    scores above p - margin * |p|, p being the positive's score: what the model finds about as good as the positive is
    more likely an unseen positive than a mistake.

    A row is sure to get its hard negatives, so they stand in its loss uncorrected, and copies of them among the shared
    candidates are left out: that part of the catalogue is summed, the rest estimated.

    Source: the margin relative to the positive: Moreira et al., "NV-Retriever: Improving text embedding models with
    effective hard-negative mining", 2024.

    Args:
        number: items for each row.
        skip: best items passed over.
        margin: share of the positive's score that an item must stay below it.
        refresh: steps between two encodings of the catalogue; None for once an epoch.
    """

    def __init__(self, number: int, skip: int, margin: float, refresh: int | None) -> None:
        for name, value, least in (("number", number, 1), ("skip", skip, 0), ("margin", margin, 0)):
            require(f"negatives.sources.hard.{name}", value, least)
        if refresh is not None:
            require("negatives.sources.hard.refresh", refresh, 1)
        self.number = number
        self.skip = skip
        self.margin = margin
        self.refresh = refresh
        self._catalogue: Tensor | None = None  # [N, dim]
        self._age = 0

    def start_epoch(self) -> None:
        """Forget the catalogue."""
        self._catalogue = None

    @torch.no_grad()
    def mine(
        self,
        users: Tensor,
        positives: Tensor,
        excluded: Tensor,
        row_users: Tensor,
        encode: Callable[[], Tensor],
    ) -> Tensor:
        """Hard negatives of each row.

        Args:
            users: user vectors, [P, dim].
            positives: [P].
            excluded: items that are no negatives for each of the batch's users, [U, N].
            row_users: user of each row, [P].
            encode: gives the vectors of the whole catalogue, [N, dim].

        Returns:
            [P, number], PADDING where there were fewer.
        """
        catalogue = self._current(encode)
        mined = torch.full((len(users), self.number), PADDING, device=users.device)
        step = max(SCORES_AT_ONCE // len(catalogue), 1)
        for start in range(0, len(users), step):
            part = slice(start, start + step)
            scores = users[part] @ catalogue.T  # [p, N]
            positive = scores.gather(1, positives[part].unsqueeze(1))  # [p, 1]
            scores = scores.masked_fill(excluded[row_users[part]], -torch.inf).scatter(
                1, positives[part].unsqueeze(1), -torch.inf
            )
            if self.skip:
                passed_over = scores.topk(min(self.skip, scores.shape[1]), dim=1).indices
                scores = scores.scatter(1, passed_over, -torch.inf)
            scores = scores.masked_fill(scores > positive - self.margin * positive.abs(), -torch.inf)
            best = scores.topk(min(self.number, scores.shape[1]), dim=1)
            mined[part, : best.indices.shape[1]] = torch.where(best.values.isfinite(), best.indices, PADDING)
        return mined

    def _current(self, encode: Callable[[], Tensor]) -> Tensor:
        if self._catalogue is None or self._age == self.refresh:
            self._catalogue, self._age = encode(), 0
        self._age += 1
        return self._catalogue
