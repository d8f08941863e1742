"""Lessons: moments in which a reranker has said how well some candidates fit, as the towers learn from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from towers.candidate_groups import Group, PaddedGroups
from towers.history import History
from towers.interests import score_own
from towers.rerank_losses import RerankLoss
from towers.tokens import EventTypes, Tokens, tokenize
from towers.user_attributes import UserAttributes


@dataclass(frozen=True)
class Lesson:
    """One of them.

    Attributes:
        history: what is known of the user.
        query: row of the search text, PADDING for none.
        group: candidates, and the reranker's scores of them.
    """

    history: History
    query: int
    group: Group


@dataclass(frozen=True)
class Lessons:
    """G lessons side by side.

    Attributes:
        tokens: what the user tower reads, G sequences.
        groups: the candidates of each.
    """

    tokens: Tokens
    groups: PaddedGroups

    def __len__(self) -> int:
        return len(self.groups)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Lessons":
        """The same lessons on another device."""
        return Lessons(self.tokens.to(device, non_blocking), self.groups.to(device, non_blocking))


class LessonPlan:
    """Which lessons stand beside which training batch: all of them in turn, in another order each time round.

    Args:
        lessons: at least one.
        per_batch: lessons beside each batch.
        event_types: the model's codes.
        max_history: newest events that the user tower reads.
        attributes: codes of the users' attributes.
        seed: with the epoch, decides the order.
    """

    def __init__(
        self,
        lessons: Sequence[Lesson],
        per_batch: int,
        event_types: EventTypes,
        max_history: int,
        attributes: UserAttributes,
        seed: int,
    ) -> None:
        self.lessons = lessons
        self.per_batch = per_batch
        self.event_types = event_types
        self.max_history = max_history
        self.attributes = attributes
        self.seed = seed

    def draw(self, epoch: int, rank: int, ranks: int) -> Iterator[Lessons]:
        """The lessons of an epoch's batches, without end; of several ranks each gets its share of every batch."""
        rng = np.random.default_rng((self.seed, epoch, 1))
        turn: list[int] = []
        while True:
            while len(turn) < self.per_batch:
                turn += rng.permutation(len(self.lessons)).tolist()
            chosen, turn = turn[: self.per_batch], turn[self.per_batch :]
            yield self._together([self.lessons[i] for i in chosen[rank::ranks]])

    def _together(self, lessons: Sequence[Lesson]) -> Lessons:
        histories, queries = [one.history for one in lessons], [one.query for one in lessons]
        tokens = tokenize(histories, queries, self.event_types, self.max_history, self.attributes)
        return Lessons(tokens, PaddedGroups.of([one.group for one in lessons]))


@dataclass(frozen=True)
class Teaching:
    """How lessons are learnt.

    Attributes:
        loss: what is asked of the towers' scores of a group.
        weight: of the mean loss of a batch's lessons beside the towers' own loss.
    """

    loss: RerankLoss
    weight: float

    def losses(self, users: Tensor, candidates: Tensor, groups: PaddedGroups, temperature: Tensor) -> Tensor:
        """Loss of each of G lessons, [G]; the towers' logits stand for scores.

        The temperature gets no gradient: it belongs to the towers' own loss. A user vector's strength does.

        Args:
            users: user vectors, [G, dim] or [G, interests, dim].
            candidates: vectors of the candidates, [G, n, dim].
            groups: the candidates.
            temperature: divides inner products.
        """
        scores = score_own(users, candidates) / temperature.detach()  # [G, n]
        return self.loss(scores, groups.grades, groups.mask, groups.teacher)
