"""Settings of an evaluation; the values live in conf/evaluation."""

from dataclasses import dataclass

from data_prep.config import require


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
