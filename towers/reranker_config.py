"""Typed configuration of the reranker's training; the values live in conf/rerank.yaml."""

from dataclasses import dataclass
from pathlib import Path

from towers.fitting import TrainerConfig


@dataclass
class CrossEncoderConfig:
    """The model.

    Attributes:
        package: installed package that carries the transformer to start from; or null, with `folder`.
        folder: folder of a BERT-like transformer; or null.
        layers, width: of the small one.
        max_tokens: context and item text together.
        context_items: newest items of the history that are read.
    """

    package: str | None
    folder: str | None
    layers: int
    width: int
    max_tokens: int
    context_items: int


@dataclass
class MiningConfig:
    """The training material.

    Attributes:
        depth: candidates taken from the towers for each user.
        negatives: unwanted candidates in a group.
        per_user: groups of one user at most.
        max_groups: groups in all at most.
        held_out: share of users kept for choosing the epoch.
        max_held_out: and their number at most.
    """

    depth: int
    negatives: int
    per_user: int
    max_groups: int
    held_out: float
    max_held_out: int


@dataclass
class RerankConfig:
    """`python -m towers.train_reranker`.

    Attributes:
        run: folder of a finished training run; the reranker is written into it.
        data: the dataset it was trained on; null finds it.
        artifacts: root of everything written.
        resume: go on from the last whole checkpoint.
        seed: decides everything that is random.
        learning_rate, weight_decay, warmup_steps: of AdamW, with linear decay.
        groups_per_batch: groups in a batch.
        model, mining, trainer: see there.
    """

    run: Path
    data: Path | None
    artifacts: Path
    resume: bool
    seed: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    groups_per_batch: int
    model: CrossEncoderConfig
    mining: MiningConfig
    trainer: TrainerConfig
