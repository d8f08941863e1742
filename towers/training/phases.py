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
from towers.baselines import TrainingData
from towers.events.interactions import Interactions
from towers.fitting.distributed import others
from towers.fitting.trainer import Session, fit, refit
from towers.metrics.evaluation import EvaluationBatch, EvaluationBatches
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
    """What a phase leaves.

    Attributes:
        towers: with their final weights, not yet saved.
        material: the dataset.
        data: the events it saw, for whatever else is fitted to the same.
        figures: validation figures of the best epoch, name -> value; empty where validation did not decide.
        intervals: bootstrap intervals of those, name -> (low, high).
        judged: the judged queries that may be learnt from; None where the dataset has none.
        epochs: epochs trained.
        best_epoch: epochs behind the weights.
    """

    towers: TrainedTowers
    material: TrainingSet
    data: TrainingData
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    judged: Judgements | None
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
    material, batches, retriever = prepare(config, dataset, phase)
    with others(config.trainer.devices, _help, config, phase):
        figures = _fit(config, retriever, batches, phase, watchers)
    epochs, best_epoch = int(figures.pop("epochs")), int(figures.pop("best_epoch"))
    towers = _finished(config, retriever, material, dataset, phase)
    data = towers.seen(material.sequences, material.items, phase.until)
    intervals = _intervals(config, retriever) if figures else {}
    judged = learnt_queries(config, dataset)
    return Trained(towers, material, data, figures, intervals, judged, epochs, best_epoch)


def prepare(config: TrainConfig, dataset: Dataset, phase: Phase) -> tuple[TrainingSet, TrainingBatches, Retriever]:
    """All that is trained and what it is trained on; the same in every process."""
    torch.set_num_threads(config.trainer.threads)
    tower = config.tower
    judged = learnt_queries(config, dataset)
    material = TrainingSet.of(
        dataset,
        config.protocol,
        config.queries,
        tower.attributes.columns,
        config.cold_share,
        config.seed,
        judged,
        config.judgements.rate,
    )
    interactions = Interactions.of(material.sequences, len(material.items), phase.until)
    batches = material.batches(
        phase.until,
        tower.max_history,
        config.tokens_per_batch,
        config.queries.rate,
        tower.signal_dropout,
        config.seed,
    )
    pl.seed_everything(config.seed, verbose=False)
    return material, batches, build_retriever(config, material, interactions, batches)


def learnt_queries(config: TrainConfig, dataset: Dataset) -> Judgements | None:
    """The judged queries that training sees: all but those of the fold that is held out; None where there are none.

    Raises:
        UsageError: there are fewer queries than folds.
    """
    if dataset.judgements is None:
        return None
    judged, settings = Judgements.of(dataset), config.judgements
    return judged if settings.held_out is None else judged.outside(settings.folds, settings.held_out, config.seed)


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
    """What every rank but the first does: train its share of the batches, and write nothing.

    Text vectors are in the cache by now, put there by the first rank.
    """
    _, batches, retriever = prepare(config, Dataset.open(config.data), phase)
    ready()
    _fit(config, retriever, batches, phase, ())


def _finished(
    config: TrainConfig, retriever: Retriever, material: TrainingSet, dataset: Dataset, phase: Phase
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
        event_types=material.event_types,
        queries=config.queries.text,
        embedded=pd.Index(material.items[Columns.ITEM_ID])[trained_rows.numpy()],
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
