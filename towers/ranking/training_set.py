"""What a reranker learns from and is judged by: shortlists of users and of queries, kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from towers.candidates.candidate_pool import TOWERS
from towers.ranking.config import MiningConfig, RankerConfig
from towers.ranking.groups import CandidateGroup
from towers.ranking.mining import Shortlist, groups


@dataclass(frozen=True)
class Part:
    """What one training has.

    Attributes:
        name: of the training; "" for the one whose reranker is published.
        learning: shortlists of users, and of queries derived from items.
        judged: shortlists of judged queries to learn from.
        watched: shortlists that choose epoch and strength.
    """

    name: str
    learning: Sequence[Shortlist]
    judged: Sequence[Shortlist]
    watched: Sequence[Shortlist]

    @property
    def title(self) -> str:
        """The name as the start of a message."""
        return f"{self.name}: " if self.name else ""

    def groups(self, mining: MiningConfig, repeat: int, rng: np.random.Generator) -> list[CandidateGroup]:
        """The groups of an epoch.

        Raises:
            GateFailed: there are none.
        """
        drawn = [
            groups(lists, mining.relevant, mining.negatives, mining.always_rerank_positives, rng)
            for lists in (self.learning, self.judged)
        ]
        found = [drawn[0][i] for i in rng.permutation(len(drawn[0]))[: mining.max_groups]] + drawn[1] * repeat
        if not found:
            raise GateFailed(
                f"mining.depth: no candidates of {len(self.learning) + len(self.judged)} users and queries differ in "
                f"grade among recall's first {mining.depth}; raise it, or train the towers longer"
            )
        return found


@dataclass(frozen=True)
class RankingTrainingSet:
    """All shortlists.

    Attributes:
        learning: users to learn from, and queries derived from items.
        watched: users who choose epoch and strength.
        compared: users on whom the reranker is compared with recall.
        queries: judged queries, all of them.
        folds: places of each fold's queries among them.
        recalled_by: channels that judged queries were answered by.
    """

    learning: list[Shortlist]
    watched: list[Shortlist]
    compared: list[Shortlist]
    queries: list[Shortlist] = field(default_factory=list)
    folds: list[NDArray[np.int64]] = field(default_factory=list)
    recalled_by: list[str] = field(default_factory=lambda: [TOWERS])

    @classmethod
    def of(
        cls,
        users: Sequence[Shortlist],
        items: Sequence[Shortlist],
        queries: Sequence[Shortlist],
        folds: Sequence[NDArray[np.int64]],
        config: RankerConfig,
    ) -> "RankingTrainingSet":
        """Keep some users aside; where there are none, some of the queries derived from items, to choose the epoch.

        Args:
            users: shortlists of users.
            items: of queries derived from items.
            queries: of judged queries.
            folds: places of each fold's queries.
            config: how many users are kept aside.

        Raises:
            GateFailed: there is nobody to choose the epoch by.
        """
        cases = users or items
        order = np.random.default_rng((config.seed, 1)).permutation(len(cases))
        number = min(round(len(cases) * config.mining.held_out), config.mining.max_held_out)
        watched, compared = order[: number // 2], order[number // 2 : number]
        if not len(watched) and not folds:
            raise GateFailed(
                f"mining.held_out: {len(cases)} users are too few to keep some aside for choosing the epoch, and "
                "there are no judged queries"
            )
        return cls(
            learning=[*(cases[i] for i in order[number:]), *(items if users else ())],
            watched=[cases[i] for i in watched],
            compared=[cases[i] for i in compared] if users else [],
            queries=list(queries),
            folds=list(folds),
        )

    def part(self, fold: int | None, held_out: float, seed: int) -> Part:
        """What a training has that is to be judged by a fold's queries; None for one that may learn from all.

        Args:
            fold: number of the fold, or None.
            held_out: share of the queries to learn from that choose epoch and strength instead.
            seed: of the choice.
        """
        left_out = self.folds[fold] if fold is not None else np.zeros(0, np.int64)
        others = np.setdiff1d(np.arange(len(self.queries)), left_out)
        order = np.random.default_rng((seed, 2)).permutation(others)
        number = max(round(len(order) * held_out), 1) if len(order) else 0
        return Part(
            name="" if fold is None else f"fold-{fold}",
            learning=self.learning,
            judged=[self.queries[i] for i in order[number:]],
            watched=[*self.watched, *(self.queries[i] for i in order[:number])],
        )
