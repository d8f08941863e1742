"""Settings of evaluations and of judged queries; the values live in conf/."""

from dataclasses import dataclass

from data_prep.config import require
from towers.metrics.bootstrap import Bootstrap


@dataclass
class EvaluationConfig:
    """How users are evaluated.

    Attributes:
        exclude_seen: do not recommend what is in the history; also what the server does by default.
        cutoffs: the k of the metrics; in training they must hold 10, which early stopping watches.
        batch_size: users scored at a time: memory is batch_size × items scores.
        validation_users: users evaluated after each epoch, at random; the whole catalogue is ranked always.
        bootstrap_samples, confidence: of the intervals.
    """

    exclude_seen: bool
    cutoffs: list[int]
    batch_size: int
    validation_users: int
    bootstrap_samples: int
    confidence: float

    def __post_init__(self) -> None:
        for name in ("batch_size", "validation_users", "bootstrap_samples"):
            require(f"evaluation.{name}", getattr(self, name), 1)
        require("evaluation.confidence", self.confidence, 0.01, 0.999)
        require("evaluation.cutoffs", min(self.cutoffs, default=0), 1)

    def bootstrap(self, seed: int) -> Bootstrap:
        """Settings of the intervals, resampled by a seed."""
        return Bootstrap(self.bootstrap_samples, self.confidence, seed)


@dataclass
class JudgementConfig:
    """How judged queries are learnt from, where the dataset has any.

    Attributes:
        rate: how often an epoch sees each judged pair that gains something; 0 for never.
        folds: parts that the queries are cut into.
        held_out: the part whose queries training never sees, so that it can be judged by them; None learns from all.
    """

    rate: float
    folds: int
    held_out: int | None

    def __post_init__(self) -> None:
        require("judgements.rate", self.rate, 0)
        require("judgements.folds", self.folds, 2)
        if self.held_out is not None:
            require("judgements.held_out", self.held_out, 0, self.folds - 1)
