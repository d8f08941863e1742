"""Typed configuration of the reranker's training; the values live in conf/train_ranker.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.config import require
from data_prep.errors import UsageError
from towers.fitting.trainer import TrainerConfig
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
    """The training material.

    Attributes:
        depth: candidates taken from recall for each user or query.
        relevant: candidates above grade 0 in a group, at most.
        negatives: other candidates in a group, at most.
        max_groups: groups in all at most; those of judged queries come on top.
        held_out: share of the users kept aside; half of them choose epoch and strength, the other half judge.
        max_held_out: and their number at most.
        query_rate: share of the users' moments in which they ask, by a query derived from what they went on to.
        item_queries: queries derived from items to learn from beside users, asked by strangers.
        always_rerank_positives: relevant items that recall missed join training groups, as if it had found them. In
            every figure they count as missed all the same.
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
        folds: parts of the queries; each is judged by a reranker that learnt from the others. 0 ignores judgements.
        repeat: times that the group of a judged query comes in an epoch.
        keep_folds: keep the rerankers of the folds beside the one of all queries; a student needs its teacher's.
    """

    folds: int
    repeat: int
    keep_folds: bool

    def __post_init__(self) -> None:
        require("judgements.folds", self.folds, 0)
        require("judgements.repeat", self.repeat, 1)
        if self.folds == 1:
            raise UsageError(
                "judgements.folds: 1 leaves no queries to learn from; take 2 or more, or 0 for no judgements"
            )


@dataclass
class ComparisonConfig:
    """How the reranker is compared with recall.

    Attributes:
        strengths: factors tried of what reading adds to recall's score.
        bootstrap_samples, confidence: of the intervals.
    """

    strengths: list[float]
    bootstrap_samples: int
    confidence: float

    def __post_init__(self) -> None:
        require("comparison.strengths", min(self.strengths, default=-1), 0)
        require("comparison.bootstrap_samples", self.bootstrap_samples, 1)
        require("comparison.confidence", self.confidence, 0.01, 0.999)


@dataclass
class RankerConfig:
    """`python -m towers.train_ranker`.

    Attributes:
        run: folder of a finished training run; the reranker is written into it.
        name: folder in the run; `index.build` takes `cross_encoder`.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        teacher: folder of a reranker trained before, for a loss that learns from one; or null.
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
    ranking_loss: Any
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
