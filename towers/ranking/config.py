"""Typed configuration of the cross-encoder's training; the values live in conf/train_ranker.yaml."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.config import Node, require
from data_prep.errors import UsageError
from towers.fitting.trainer import TrainerConfig
from towers.metrics.bootstrap import Bootstrap
from towers.ranking.input_template import InputTemplate


@dataclass
class CrossEncoderConfig:
    """The model.

    Attributes:
        package: installed package that carries the transformer to start from; or null, with `folder`.
        folder: folder of a BERT-like transformer; or null.
        layers, width: of the small one.
        max_tokens: context and item text together.
    """

    package: str | None
    folder: str | None
    layers: int
    width: int
    max_tokens: int


@dataclass
class MiningConfig:
    """The training set.

    Attributes:
        depth: candidates taken from recall for each user or query.
        relevant: candidates above grade 0 in a group, at most.
        negatives: other candidates in a group, at most.
        max_groups: groups in all at most; those of judged queries come on top.
        held_out: share of the users kept aside; half of them choose epoch and weight, the other half compare.
        max_held_out: and their number at most.
        query_rate: share of the users' examples with a synthetic query, derived from an item they went on to.
        item_queries: synthetic queries without a history to learn from beside users.
        always_rerank_positives: relevant items that recall did not retrieve join training groups, as if it had. In
            every figure they count as not found all the same.
    """

    depth: int
    relevant: int
    negatives: int
    max_groups: int
    held_out: float
    max_held_out: int
    query_rate: float
    item_queries: int
    always_rerank_positives: bool

    def __post_init__(self) -> None:
        for name in ("depth", "relevant", "negatives", "max_groups"):
            require(f"mining.{name}", getattr(self, name), 1)
        require("mining.max_held_out", self.max_held_out, 2)
        require("mining.held_out", self.held_out, 0.01, 0.9)
        require("mining.query_rate", self.query_rate, 0, 1)
        require("mining.item_queries", self.item_queries, 0)


@dataclass
class JudgementsConfig:
    """How judged queries are learnt from.

    Attributes:
        folds: parts of the queries; each is ranked by a cross-encoder that learnt from the others; 0 for none.
        repeat: times that the group of a judged query comes in an epoch.
        keep_folds: keep the cross-encoders of the folds beside the one of all queries; a student needs its teacher's.
    """

    folds: int
    repeat: int
    keep_folds: bool

    def __post_init__(self) -> None:
        require("judgements.folds", self.folds, 0)
        require("judgements.repeat", self.repeat, 1)
        if self.folds == 1:
            raise UsageError("judgements.folds: 1 leaves no queries to learn from; take 2 or more, or 0 to ignore them")


@dataclass
class ComparisonConfig:
    """How the cross-encoder is compared with recall.

    Attributes:
        weights: tried of its text scores beside recall's score.
        bootstrap_samples, confidence: of the intervals.
    """

    weights: list[float]
    bootstrap_samples: int
    confidence: float

    def __post_init__(self) -> None:
        require("comparison.weights", min(self.weights, default=-1), 0)
        require("comparison.bootstrap_samples", self.bootstrap_samples, 1)
        require("comparison.confidence", self.confidence, 0.01, 0.999)

    def bootstrap(self, seed: int) -> Bootstrap:
        """Settings of the intervals, resampled by a seed."""
        return Bootstrap(self.bootstrap_samples, self.confidence, seed)


@dataclass
class RankerConfig:
    """`python -m towers.train_ranker`.

    Attributes:
        run: folder of a finished training run; the cross-encoder is written into it.
        name: folder in the run; `index.build` takes `cross_encoder`.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        teacher: folder of a cross-encoder trained before, for a loss that learns from one; or null.
        resume: go on from the last whole checkpoint.
        seed: decides everything that is random.
        learning_rate, weight_decay, warmup_steps: of AdamW, with linear decay.
        groups_per_batch: groups in a batch.
        ranking_loss: a class of `towers.ranking.losses` and its settings.
        model, input_template, mining, judgements, comparison, trainer: see there.
    """

    run: Path
    name: str
    data: Path | None
    artifacts: Path
    teacher: Path | None
    resume: bool
    seed: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    groups_per_batch: int
    ranking_loss: Node
    model: CrossEncoderConfig
    input_template: InputTemplate
    mining: MiningConfig
    judgements: JudgementsConfig
    comparison: ComparisonConfig
    trainer: TrainerConfig

    def __post_init__(self) -> None:
        require("groups_per_batch", self.groups_per_batch, 1)
        if self.name in ("", ".", "..") or Path(self.name).name != self.name:
            raise UsageError(f"name: {self.name!r} is not the name of a folder within the run")
