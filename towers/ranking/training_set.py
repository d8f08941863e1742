"""The training set of a cross-encoder: shortlists of users and of queries, those that evaluate it kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import GateFailed
from towers.candidates.candidate_pool import TOWERS
from towers.ranking.config import MiningConfig, RankerConfig
from towers.ranking.mining import CandidateGroup, Shortlist, groups


@dataclass(frozen=True)
class TrainingPart:
    """The shortlists of one training.

    Attributes:
        name: of the training; "" for the one whose cross-encoder is published.
        learning: of users, and of synthetic queries.
        judged: of judged queries to learn from.
        validation: choose the epoch and the weight.
    """

    name: str
    learning: Sequence[Shortlist]
    judged: Sequence[Shortlist]
    validation: Sequence[Shortlist]

    @property
    def title(self) -> str:
        """The name as the start of a message."""
        return f"{self.name}: " if self.name else ""

    def groups(self, mining: MiningConfig, repeat: int, rng: np.random.Generator) -> list[CandidateGroup]:
        """The groups of an epoch.

        Raises:
            GateFailed: there are none.
        """
        learning, judged = (
            groups(lists, mining.relevant, mining.negatives, mining.always_rerank_positives, rng)
            for lists in (self.learning, self.judged)
        )
        drawn = [learning[i] for i in rng.permutation(len(learning))[: mining.max_groups]] + judged * repeat
        if not drawn:
            raise GateFailed(
                f"mining.depth: no candidates of {len(self.learning) + len(self.judged)} users and queries differ in "
                f"grade among recall's first {mining.depth}; raise it, or train the towers longer"
            )
        return drawn


@dataclass(frozen=True)
class RankingTrainingSet:
    """All shortlists.

    Attributes:
        learning: of users to learn from, and of synthetic queries.
        validation: of users who choose epoch and weight.
        comparison: of users on whom the cross-encoder is compared with recall.
        judged: of judged queries, all of them.
        folds: positions of each fold's queries among them.
        recalled_by: channels that judged queries were answered by.
    """

    learning: list[Shortlist]
    validation: list[Shortlist]
    comparison: list[Shortlist]
    judged: list[Shortlist] = field(default_factory=list)
    folds: list[NDArray[np.int64]] = field(default_factory=list)
    recalled_by: list[str] = field(default_factory=lambda: [TOWERS])

    @classmethod
    def of(
        cls,
        users: Sequence[Shortlist],
        items: Sequence[Shortlist],
        judged: Sequence[Shortlist],
        folds: Sequence[NDArray[np.int64]],
        config: RankerConfig,
    ) -> "RankingTrainingSet":
        """Keep some users aside; where there are none, some of the synthetic queries, to choose the epoch.

        Args:
            users: shortlists of users.
            items: of synthetic queries.
            judged: of judged queries.
            folds: positions of each fold's queries.
            config: how many users are kept aside.

        Raises:
            GateFailed: there is nobody to choose the epoch by.
        """
        cases = users or items
        order = np.random.default_rng((config.seed, 1)).permutation(len(cases))
        number = min(round(len(cases) * config.mining.held_out), config.mining.max_held_out)
        validation, comparison = order[: number // 2], order[number // 2 : number]
        if not len(validation) and not folds:
            raise GateFailed(
                f"mining.held_out: {len(cases)} users are too few to keep some aside for choosing the epoch, and "
                "there are no judged queries"
            )
        return cls(
            learning=[*(cases[i] for i in order[number:]), *(items if users else ())],
            validation=[cases[i] for i in validation],
            comparison=[cases[i] for i in comparison] if users else [],
            judged=list(judged),
            folds=list(folds),
        )

    def part(self, fold: int | None, held_out: float, seed: int) -> TrainingPart:
        """The shortlists of a training that a fold's queries will evaluate; None for one that may learn from all.

        Args:
            fold: number of the fold, or None.
            held_out: share of the queries to learn from that choose epoch and weight instead.
            seed: of the choice.
        """
        left_out = self.folds[fold] if fold is not None else np.zeros(0, np.int64)
        others = np.setdiff1d(np.arange(len(self.judged)), left_out)
        order = np.random.default_rng((seed, 2)).permutation(others)
        number = max(round(len(order) * held_out), 1) if len(order) else 0
        return TrainingPart(
            name="" if fold is None else f"fold-{fold}",
            learning=self.learning,
            judged=[self.judged[i] for i in order[number:]],
            validation=[*self.validation, *(self.judged[i] for i in order[:number])],
        )
