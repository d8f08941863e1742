"""Typed configuration of the commands in this room; the values live in conf/."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from omegaconf import OmegaConf

from data_prep.config import CONFIG_ERRORS, Node, describe, require, typed
from data_prep.errors import UsageError
from towers.events.reading import LogSettings
from towers.fitting.trainer import TrainerConfig
from towers.metrics.config import EvaluationConfig, JudgementConfig
from towers.model.run_record import RunRecord
from towers.modules.item_features import FeatureConfig
from towers.modules.layers import BLOCKS, POSITIONS, chosen
from towers.modules.user_tower import UserTowerSizes
from towers.modules.word_embeddings import WordsConfig
from towers.text.synthetic_queries import QueryConfig
from towers.training.batches import BatchSettings
from towers.training.optimization import Optimization
from towers.training.retriever import LossConfig


@dataclass
class AttributesConfig:
    """Attributes of the users themselves that are read.

    Attributes:
        columns: columns of the dataset's users table, each a category.
        dropout: share of training windows whose user's attributes are withheld, as a caller may not be known.
    """

    columns: list[str]
    dropout: float


@dataclass
class TowerConfig(UserTowerSizes):
    """Sizes of both towers: those of the user tower, and of the item tower beside it.

    Attributes:
        id_embedding: whether items have an embedding of their own beside their text.
        id_dropout: share of items whose id embedding is left out in a training step.
        id_scale: mean length of a fresh one; text and features make up the rest of a vector.
        whitening: strength of the texts', 0 to 1 (see `Whitening`).
        directions: whether a text's projection starts from the directions in which texts differ most, not at random.
        signal_dropout: share of training windows without event types and times (see `TrainingBatches`).
        attributes: those of the users that are read.
    """

    id_embedding: bool
    id_dropout: float
    id_scale: float
    whitening: float
    directions: bool
    signal_dropout: float
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
class BlockWeightsConfig:
    """How the blocks' weights are chosen.

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
        require("block_weights.users", self.users, 1)
        require("block_weights.passes", self.passes, 1)
        require("block_weights.certainty", self.certainty, 0)
        require("block_weights.grid", min(self.grid, default=-1), 0)


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
        blocks: parts of the one vector beside the towers, by name.
        block_weights: how they are weighed.
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
    encoder: Node
    text: Node
    id_init: Node
    negatives: Node
    blocks: dict[str, Node]
    block_weights: BlockWeightsConfig
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

    @classmethod
    def of_run(cls, record: RunRecord) -> Self:
        """The configuration that a run was trained with.

        Raises:
            UsageError: it was trained with the settings of another version.
        """
        try:
            return typed(cls, OmegaConf.create(record.config))
        except CONFIG_ERRORS as error:
            raise UsageError(f"run: {describe(error)}; train it anew") from error

    @property
    def log(self) -> LogSettings:
        """The part of the dataset's log that is seen."""
        return LogSettings(self.protocol, self.tower.attributes.columns, self.cold_share, self.seed)

    @property
    def batch_settings(self) -> BatchSettings:
        """How histories become batches."""
        return BatchSettings(
            max_history=self.tower.max_history,
            tokens_per_batch=self.tokens_per_batch,
            query_rate=self.queries.rate,
            signal_dropout=self.tower.signal_dropout,
            seed=self.seed,
        )
