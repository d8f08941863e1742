"""`python -m towers.train`: a dataset in, a run with two trained towers out."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader

from data_prep.columns import Columns, Split
from data_prep.command import command, instantiate
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import lock, read_json
from towers.batches import TrainingBatches
from towers.config import TrainConfig
from towers.cost import CostMeter
from towers.evaluation import Cases, EvaluationBatch, EvaluationBatches, metric_names
from towers.fitting import begin, fit
from towers.interactions import Interactions
from towers.item_features import FeatureTable, ItemFeatures
from towers.item_text import ItemText
from towers.item_tower import ItemTower, text_width
from towers.material import Material
from towers.metrics import bootstrap_intervals
from towers.ranks import others
from towers.retriever import Retriever
from towers.run import RUN, TrainedTowers
from towers.text_encoder import TextEncoder
from towers.user_tower import UserTower

log = logging.getLogger(__name__)

WATCHED = "valid/ndcg@10"


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to.

    Attributes:
        run: its folder.
        fingerprint: of the trained towers.
        metrics: best epoch's validation metrics, name -> value.
        epochs: epochs trained.
    """

    run: Path
    fingerprint: str
    metrics: dict[str, float]
    epochs: int


def build_items(
    config: TrainConfig, material: Material, counts: Tensor, encoder: TextEncoder
) -> tuple[ItemTower, ItemText, FeatureTable]:
    """The item tower, untrained, and what it reads of each row.

    Args:
        config: everything.
        material: the dataset.
        counts: training events of each item, [N].
        encoder: the text encoder.
    """
    tower, num_items = config.tower, len(material.items)
    features = ItemFeatures.fit(
        config.features, material.items[(counts > 0).numpy()], text_width(tower.dim, tower.prior)
    )
    items = ItemTower(
        encoder.dim,
        tower.dim,
        num_ids=num_items if tower.id_embedding else 0,
        num_priors=num_items if tower.prior else None,
        id_dropout=tower.id_dropout,
        features=features,
    )
    items.start_from_popularity(counts, config.loss.temperature)
    text = instantiate(
        config.text, encoder=encoder, texts=material.texts, num_items=num_items, whitening=items.whitening
    )
    if items.ids is not None:
        interactions = Interactions.of(material.sequences, num_items, Split.VALID)
        started = instantiate(config.id_init).vectors(text, interactions, items.ids.embedding_dim, config.seed)
        items.start_ids(started, tower.id_scale)
    return items, text, FeatureTable(features, material.items)


def build_retriever(config: TrainConfig, material: Material, batches: TrainingBatches) -> Retriever:
    """Both towers, untrained, around a dataset."""
    encoder = instantiate(config.encoder)
    tower, counts = config.tower, batches.target_counts()
    items, text, features = build_items(config, material, counts, encoder)
    users = UserTower(
        dim=tower.dim,
        event_types=len(material.event_types),
        max_history=tower.max_history,
        layers=tower.layers,
        heads=tower.heads,
        feed_forward=tower.feed_forward,
        dropout=tower.dropout,
        input_dropout=tower.input_dropout,
        window=tower.window,
        prior=tower.prior,
        block=tower.block,
        positions=tower.positions,
        interests=tower.interests,
        attributes=material.attributes.values,
        attribute_dropout=tower.attributes.dropout,
    )
    evaluation = config.evaluation
    cases = Cases.held_out(
        material.sequences,
        material.item_ids,
        Split.VALID,
        evaluation.exclude_seen,
        evaluation.cutoffs,
        evaluation.validation_users,
        config.seed,
    )
    if not len(cases):
        raise UsageError(f"data: {config.data} has no user with something to find in its validation split")
    return Retriever(
        items,
        users,
        text,
        features,
        encoder,
        material.event_types,
        instantiate(config.negatives, target_counts=batches.target_counts(), seed=config.seed),
        config.loss,
        config.optimization,
        counts,
        cases,
    )


def train(config: TrainConfig, run: Path, overrides: Sequence[str] = ()) -> TrainResult:
    """Train both towers on a dataset.

    Args:
        config: everything.
        run: folder the run is written to.
        overrides: what was typed to get this config, kept with the run.

    Raises:
        UsageError: the run is finished already and nobody asked to resume, it was begun with other settings, or the
            data does not fit.
        GateFailed: the loss stopped being a number.
        Locked: another process trains this run.
    """
    with lock(run / ".lock", f"train {run}"):
        if (run / RUN).exists() and not config.resume:
            raise UsageError(
                f"run: {run} is finished; resume=true keeps it as it is, run=… makes another, or remove that folder"
            )
        cost = CostMeter()
        dataset = Dataset.open(config.data)
        begin(run, begun_with(config, dataset), config.resume)
        if (run / RUN).exists():
            return finished(config, run)
        material, batches, retriever = prepare_training(config, dataset)
        with others(config.trainer.devices, help_training, config, run):
            figures = fit_towers(config, retriever, batches, run, [cost])
        epochs, best_epoch = int(figures.pop("epochs")), int(figures.pop("best_epoch"))
        report = {
            "validation": figures,
            "intervals": validation_intervals(config, retriever),
            "epochs": epochs,
            "best_epoch": best_epoch,
            "cost": cost.spent(),
            "overrides": list(overrides),
        }
        trained = publish(config, retriever, material, dataset, run, report)
        return TrainResult(run, trained.fingerprint, figures, epochs)


def prepare_training(config: TrainConfig, dataset: Dataset) -> tuple[Material, TrainingBatches, Retriever]:
    """All that is trained and what it is trained on; the same in every process."""
    torch.set_num_threads(config.trainer.threads)
    pl.seed_everything(config.seed, verbose=False)
    material = Material.of(
        dataset, config.protocol, config.queries, config.tower.attributes.columns, config.cold_share, config.seed
    )
    batches = material.batches(
        config.tower.max_history,
        config.tokens_per_batch,
        config.queries.rate,
        config.tower.signal_dropout,
        config.seed,
    )
    return material, batches, build_retriever(config, material, batches)


def fit_towers(
    config: TrainConfig, retriever: Retriever, batches: TrainingBatches, run: Path, watchers: Sequence[Callback] = ()
) -> dict[str, float]:
    """Train; see `fit`."""
    validation: DataLoader[EvaluationBatch] = DataLoader(
        EvaluationBatches(retriever.cases, config.evaluation.batch_size), batch_size=None
    )
    trainer = config.trainer
    return fit(
        retriever, batches, validation, run, WATCHED, trainer, config.resume, config.seed, trainer.devices, watchers
    )


def help_training(ready: Callable[[], None], config: TrainConfig, run: Path) -> None:
    """What every rank but the first does: train its share of the batches, and write nothing.

    Text vectors are in the cache by now, put there by the first rank.
    """
    _, batches, retriever = prepare_training(config, Dataset.open(config.data))
    ready()
    fit_towers(config, retriever, batches, run)


def finished(config: TrainConfig, run: Path) -> TrainResult:
    """The result of a run that is whole, for a resumed sweep to go past it.

    Raises:
        UsageError: it was trained for another number of epochs.
    """
    marks = read_json(run / RUN)
    for name in ("epochs", "patience"):
        before, now = marks["config"]["trainer"][name], getattr(config.trainer, name)
        if before != now:
            raise UsageError(f"run: {run} is finished with trainer.{name}={before}, not {now}; train anew under run=…")
    log.info("%s is finished: kept as it is", run)
    return TrainResult(run, marks["fingerprint"], marks["validation"], marks["epochs"])


def validation_intervals(config: TrainConfig, retriever: Retriever) -> dict[str, list[float]]:
    """Bootstrap interval over the validation users of each figure of the best epoch: name -> [low, high]."""
    settings = config.evaluation
    per_user = retriever.validated.double().cpu().numpy()
    low, high = bootstrap_intervals(per_user, settings.bootstrap_samples, settings.confidence, config.seed)
    names = metric_names(settings.cutoffs)
    return {name: [float(a), float(b)] for name, a, b in zip(names, low, high, strict=True)}


def begun_with(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """What decides the weights, apart from how long they are trained."""
    left_out = ("data", "artifacts", "run", "resume", "trainer", "text")
    settings = {name: value for name, value in asdict(config).items() if name not in left_out}
    text = {name: config.text[name] for name in ("_target_", "tuning", "learning_rate") if name in config.text}
    return {"dataset": dataset.fingerprint, "text": text, **settings}


def publish(
    config: TrainConfig,
    retriever: Retriever,
    material: Material,
    dataset: Dataset,
    run: Path,
    report: dict[str, Any],
) -> TrainedTowers:
    """Write the trained towers into the run, which makes it whole."""
    retriever.text.finish()
    trained_rows = retriever.target_counts.cpu() > 0
    items = retriever.items
    # Rows that no event ever moved are left out: such items go by their text.
    if items.ids is not None:
        items.ids = torch.nn.Embedding.from_pretrained(items.ids.weight.detach()[trained_rows])
    if items.priors is not None:
        items.priors = torch.nn.Parameter(items.priors.detach()[trained_rows])
    towers = TrainedTowers(
        items=items,
        users=retriever.users,
        text_encoder=retriever.encoder,
        event_types=material.event_types,
        embedded=pd.Index(material.items[Columns.ITEM_ID])[trained_rows.numpy()],
        temperature=float(retriever.temperature.detach()),
        exclude_seen=config.evaluation.exclude_seen,
        dataset_fingerprint=dataset.fingerprint,
        cache=Path(config.text["cache"]),
    )
    libraries = {name: version(name) for name in ("torch", "pytorch-lightning", "sentence-transformers")}
    described = {
        "data": str(dataset.path.absolute()),
        "config": json.loads(json.dumps(asdict(config), default=str)),
        "libraries": libraries,
    }
    return towers.save(run, report | described, keep_encoder=retriever.text.tuned)


@command(TrainConfig, "train")
def main(config: TrainConfig) -> TrainResult:
    """Train; the run's folder is the one Hydra made for this job."""
    hydra = HydraConfig.get()
    result = train(config, Path(hydra.runtime.output_dir), hydra.overrides.task)
    found = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    print(f"run {result.run}  fingerprint {result.fingerprint}  epochs {result.epochs}\nvalidation: {found}")
    return result


if __name__ == "__main__":
    main()
