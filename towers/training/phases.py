"""Training the towers once: on the training events until validation says enough, or on more for a known time."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader

from data_prep.columns import Columns, Split
from data_prep.dataset import Dataset
from towers.events import TrainingData
from towers.events.interactions import Interactions
from towers.fitting.distributed import helped_by
from towers.fitting.trainer import Session, fit, refit
from towers.metrics.cases import EvaluationBatch, EvaluationBatches
from towers.metrics.judgements import Judgements
from towers.metrics.ranking_metrics import metric_names
from towers.model.trained_towers import TEXT_ENCODER, TrainedTowers
from towers.text.encoder import open_text_encoder
from towers.training.batches import TrainingBatches
from towers.training.config import TrainConfig
from towers.training.model_factory import build_retriever
from towers.training.retriever import Retriever
from towers.training.training_set import TrainingSet

log = logging.getLogger(__name__)

WATCHED = "valid/ndcg@10"


@dataclass(frozen=True)
class Phase:
    """A training from its first step to its last.

    Attributes:
        folder: where its checkpoints are kept.
        until: the first split whose events it does not see.
        epochs: when it ends; None where validation decides, which keeps the best epoch.
    """

    folder: Path
    until: Split
    epochs: int | None


@dataclass(frozen=True)
class Trained:
    """Towers that a phase has trained, and its figures.

    Attributes:
        towers: with their final weights, not yet saved.
        training_set: the dataset.
        data: the events it saw, for whatever else is fitted to the same.
        figures: validation figures of the best epoch, name -> value; empty where validation did not decide.
        intervals: bootstrap intervals of those, name -> (low, high).
        epochs: epochs trained.
        best_epoch: epochs behind the weights.
    """

    towers: TrainedTowers
    training_set: TrainingSet
    data: TrainingData
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    epochs: int
    best_epoch: int


def train_towers(config: TrainConfig, dataset: Dataset, phase: Phase, watchers: Sequence[Callback]) -> Trained:
    """Train both towers.

    Args:
        config: everything.
        dataset: the data.
        phase: on which events, for how long.
        watchers: callbacks whose state travels in the checkpoints.

    Raises:
        UsageError: the data does not fit.
        GateFailed: the loss stopped being a number.
    """
    prepared = prepare(config, dataset, phase)
    training_set, retriever = prepared.training_set, prepared.retriever
    with helped_by(config.trainer.devices, _help, config, phase):
        figures = _fit(config, retriever, prepared.batches, phase, watchers)
    epochs, best_epoch = int(figures.pop("epochs")), int(figures.pop("best_epoch"))
    towers = _finished(config, retriever, training_set, dataset, phase)
    data = towers.fitted_beside(prepared.interactions, training_set.items)
    intervals = _intervals(config, retriever) if figures else {}
    return Trained(towers, training_set, data, figures, intervals, epochs, best_epoch)


@dataclass(frozen=True)
class Prepared:
    """All that is trained and what it is trained on.

    Attributes:
        training_set: the dataset.
        interactions: the events it is trained on.
        batches: the same in batches.
        retriever: both towers, untrained, and what trains them.
    """

    training_set: TrainingSet
    interactions: Interactions
    batches: TrainingBatches
    retriever: Retriever


def prepare(config: TrainConfig, dataset: Dataset, phase: Phase) -> Prepared:
    """Make all that is trained and what it is trained on; the same in every process."""
    torch.set_num_threads(config.trainer.threads)
    judgements = learnt_judgements(config, dataset)
    training_set = TrainingSet.of(dataset, config.log, config.queries, judgements, config.judgements.rate)
    interactions = Interactions.of(training_set.sequences, len(training_set.items), phase.until)
    batches = training_set.batches(phase.until, config.batch_settings)
    pl.seed_everything(config.seed, verbose=False)
    retriever = build_retriever(config, training_set, interactions, batches)
    return Prepared(training_set, interactions, batches, retriever)


def learnt_judgements(config: TrainConfig, dataset: Dataset) -> Judgements | None:
    """The judged queries that training sees: all but those of the fold that is held out; None where there are none.

    Raises:
        UsageError: there are fewer queries than folds.
    """
    if dataset.judgements is None:
        return None
    judgements, settings = Judgements.of(dataset), config.judgements
    if settings.held_out is None:
        return judgements
    return judgements.outside(settings.folds, settings.held_out, config.seed)


def _fit(
    config: TrainConfig, retriever: Retriever, batches: TrainingBatches, phase: Phase, watchers: Sequence[Callback]
) -> dict[str, float]:
    """Train; see `fit` and `refit`."""
    trainer = config.trainer
    session = Session(phase.folder, trainer, config.resume, config.seed, trainer.devices, watchers)
    if phase.epochs is not None:
        return refit(retriever, batches, phase.epochs, session)
    if not len(retriever.cases):
        log.info("no user has anything to find in the validation split: training for all %d epochs", trainer.epochs)
        return refit(retriever, batches, trainer.epochs, session)
    validation: DataLoader[EvaluationBatch] = DataLoader(
        EvaluationBatches(retriever.cases, config.evaluation.batch_size), batch_size=None
    )
    return fit(retriever, batches, validation, WATCHED, session)


def _help(ready: Callable[[], None], config: TrainConfig, phase: Phase) -> None:
    """Train this process's share of the batches, and write nothing: the work of every process but the first.

    Text vectors are in the cache by now, put there by the first one.
    """
    prepared = prepare(config, Dataset.open(config.data), phase)
    ready()
    _fit(config, prepared.retriever, prepared.batches, phase, ())


def _finished(
    config: TrainConfig, retriever: Retriever, training_set: TrainingSet, dataset: Dataset, phase: Phase
) -> TrainedTowers:
    """The towers without what only training needs."""
    encoder = retriever.encoder
    if retriever.text.tuned:
        retriever.text.finish()
        encoder.save(phase.folder / TEXT_ENCODER)
        encoder = open_text_encoder(encoder.kind, phase.folder / TEXT_ENCODER, encoder.max_tokens)
    trained_rows = retriever.target_counts.cpu() > 0
    items = retriever.items
    # Rows that no event ever moved are left out: such items go by their text.
    items.ids, items.history = _kept(items.ids, trained_rows), _kept(items.history, trained_rows)
    if items.priors is not None:
        items.priors = torch.nn.Parameter(items.priors.detach()[trained_rows])
    return TrainedTowers(
        items=items.eval(),
        users=retriever.users.eval(),
        text_encoder=encoder.eval(),
        event_types=training_set.event_types,
        queries=config.queries.text,
        embedded=pd.Index(training_set.items[Columns.ITEM_ID])[trained_rows.numpy()],
        temperature=float(retriever.temperature.detach()),
        exclude_seen=config.evaluation.exclude_seen,
        dataset_fingerprint=dataset.fingerprint,
        cache=Path(config.text["cache"]),
    )


def _kept(embedding: torch.nn.Embedding | None, rows: Tensor) -> torch.nn.Embedding | None:
    """Some rows of an embedding, [N] marked; None where there is none, or none is marked."""
    if embedding is None or not rows.any():
        return None
    kept: torch.nn.Embedding = torch.nn.Embedding.from_pretrained(embedding.weight.detach()[rows])
    return kept


def _intervals(config: TrainConfig, retriever: Retriever) -> dict[str, tuple[float, float]]:
    """Bootstrap interval over the validation users of each figure of the best epoch: name -> (low, high)."""
    settings = config.evaluation
    per_user = retriever.validated.double().cpu().numpy()
    low, high = settings.bootstrap(config.seed).intervals(per_user)
    names = metric_names(settings.cutoffs)
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
