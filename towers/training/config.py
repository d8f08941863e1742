"""Typed configuration of the commands in this room; the values live in conf/."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.config import require
from data_prep.errors import UsageError
from towers.fitting.trainer import TrainerConfig
from towers.metrics.config import EvaluationConfig, JudgementConfig
from towers.modules.item_features import FeatureConfig
from towers.modules.layers import BLOCKS, POSITIONS, chosen
from towers.modules.word_embeddings import WordsConfig
from towers.text.synthetic_queries import QueryConfig
from towers.training.optimization import Optimization
from towers.training.retriever import LossConfig


@dataclass
class AttributesConfig:
    """What is read of the users themselves.

    Attributes:
        columns: columns of the dataset's users table, each a category.
        dropout: share of training windows whose user's attributes are withheld, as a caller may not be known.
    """

    columns: list[str]
    dropout: float


@dataclass
class TowerConfig:
    """Sizes of both towers; see `ItemTower` and `UserTower` for each.

    Attributes:
        id_embedding: whether items have an embedding of their own beside their text.
        id_scale: mean length of a fresh one; text and features make up the rest of a vector.
        whitening: strength of the texts', 0 to 1 (see `Whitening`).
        directions: whether a text's projection starts from the directions in which texts differ most, not at random.
        prior: whether items have a prior, their popularity at first (see `ItemTower`).
        signal_dropout: share of training windows without event types and times (see `TrainingBatches`).
    """

    dim: int
    id_embedding: bool
    id_dropout: float
    id_scale: float
    whitening: float
    directions: bool
    prior: bool
    max_history: int
    layers: int
    heads: int
    feed_forward: int
    dropout: float
    input_dropout: float
    signal_dropout: float
    window: int
    average: bool
    block: str
    positions: str
    interests: int
    attributes: AttributesConfig

    def __post_init__(self) -> None:
        for name, least in {
            "dim": 2,
            "max_history": 1,
            "layers": 0,
            "heads": 1,
            "feed_forward": 1,
            "window": 0,
            "interests": 1,
        }.items():
            require(f"tower.{name}", getattr(self, name), least)
        for name in ("id_dropout", "dropout", "input_dropout", "signal_dropout"):
            require(f"tower.{name}", getattr(self, name), 0, 0.99)
        require("tower.whitening", self.whitening, 0, 1)
        require("tower.attributes.dropout", self.attributes.dropout, 0, 0.99)
        chosen("tower.block", self.block, BLOCKS)
        chosen("tower.positions", self.positions, POSITIONS)


@dataclass
class WeighingConfig:
    """How weights are chosen.

    Attributes:
        users: validation users who decide, at random.
        grid: weights tried, in units of score deviations; the towers' is 1.
        passes: over the users, at most; each moves one weight.
        certainty: standard errors by which a weight must be better than the one before it; see `choose_weights`.
    """

    users: int
    grid: list[float]
    passes: int
    certainty: float

    def __post_init__(self) -> None:
        require("weighing.users", self.users, 1)
        require("weighing.passes", self.passes, 1)
        require("weighing.certainty", self.certainty, 0)
        require("weighing.grid", min(self.grid, default=-1), 0)


@dataclass
class TowersTrainerConfig(TrainerConfig):
    """The same for the towers, which several processes can train.

    Attributes:
        devices: processes, each with a device of its own (on a CPU: `threads` threads) and its share of every batch.
    """

    devices: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require("trainer.devices", self.devices, 1)


@dataclass
class TrainConfig:
    """`python -m towers.train`.

    Attributes:
        data: dataset folder, as `python -m data_prep` wrote it.
        artifacts: where runs and caches are kept.
        run: name of the run.
        protocol: the split to train for; empty for the dataset's default.
        cold_share: share of the items whose training events are left out, so that finding new items can be measured.
        refit: once validation has chosen epochs and weights, train anew on everything but test.
        resume: go on from the last whole checkpoint of this run.
        seed: decides everything that is random.
        tokens_per_batch: padded tokens in a training batch.
        encoder, text, id_init, negatives: chosen classes and their arguments.
        blocks: what stands beside the towers in the one vector, by name.
        channels: baselines that are fused late with it when it is evaluated, by name.
    """

    data: Path
    artifacts: Path
    run: str
    protocol: str
    cold_share: float
    refit: bool
    resume: bool
    seed: int
    tokens_per_batch: int
    encoder: dict[str, Any]
    text: dict[str, Any]
    id_init: dict[str, Any]
    negatives: dict[str, Any]
    blocks: dict[str, Any]
    channels: dict[str, Any]
    weighing: WeighingConfig
    tower: TowerConfig
    features: FeatureConfig
    words: WordsConfig
    queries: QueryConfig
    judgements: JudgementConfig
    loss: LossConfig
    optimization: Optimization
    trainer: TowersTrainerConfig
    evaluation: EvaluationConfig

    def __post_init__(self) -> None:
        require("tokens_per_batch", self.tokens_per_batch, 1)
        require("loss.smoothing", self.loss.smoothing, 0, 0.99)
        for dim in self.loss.dims:
            require("loss.dims", dim, 2, self.tower.dim - 1)
        require("features.dropout", self.features.dropout, 0, 0.99)
        require("cold_share", self.cold_share, 0, 0.9)
        if self.refit and self.cold_share:
            raise UsageError(
                f"refit: a refit learns from the validation events too, where the items held back by "
                f"cold_share={self.cold_share:g} are no longer cold; set one of the two alone"
            )
        if 10 not in self.evaluation.cutoffs:
            cutoffs = self.evaluation.cutoffs
            raise UsageError(f"evaluation.cutoffs: {cutoffs} must hold 10, which early stopping watches")
