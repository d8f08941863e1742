"""`python -m towers.train`: a dataset in, a run with two trained towers out."""

import json
import logging
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from torch import Tensor
from torch.utils.data import DataLoader

from data_prep.columns import Columns, Split
from data_prep.command import command, instantiate
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import lock
from towers.batches import TrainingBatches
from towers.config import TrainConfig
from towers.evaluation import Cases, EvaluationBatch, EvaluationBatches
from towers.fitting import begin, fit
from towers.interactions import Interactions
from towers.item_features import FeatureTable, ItemFeatures
from towers.item_text import ItemText
from towers.item_tower import ItemTower, text_width
from towers.material import Material
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
    items.start_from_popularity(counts, config.optimization.temperature)
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
        instantiate(config.negatives),
        config.optimization,
        counts,
        cases,
    )


def train(config: TrainConfig, run: Path) -> TrainResult:
    """Train both towers on a dataset.

    Args:
        config: everything.
        run: folder the run is written to.

    Raises:
        UsageError: the run is finished already, or the data does not fit.
        GateFailed: the loss stopped being a number.
        Locked: another process trains this run.
    """
    with lock(run / ".lock", f"train {run}"):
        if (run / RUN).exists():
            raise UsageError(f"run: {run} is finished; give another name (run=…) or remove that folder")
        torch.set_num_threads(config.trainer.threads)
        pl.seed_everything(config.seed, verbose=False)
        dataset = Dataset.open(config.data)
        material = Material.of(dataset, config.protocol, config.queries, config.cold_share, config.seed)
        batches = material.batches(
            config.tower.max_history,
            config.tokens_per_batch,
            config.queries.rate,
            config.tower.signal_dropout,
            config.seed,
        )
        begin(run, begun_with(config, dataset), config.resume)
        retriever = build_retriever(config, material, batches)
        validation: DataLoader[EvaluationBatch] = DataLoader(
            EvaluationBatches(retriever.cases, config.evaluation.batch_size), batch_size=None
        )
        figures = fit(retriever, batches, validation, run, WATCHED, config.trainer, config.resume, config.seed)
        epochs = int(figures.pop("epochs"))
        trained = publish(config, retriever, material, dataset, run, {"validation": figures, "epochs": epochs})
        return TrainResult(run, trained.fingerprint, figures, epochs)


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
    result = train(config, Path(HydraConfig.get().runtime.output_dir))
    found = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    print(f"run {result.run}  fingerprint {result.fingerprint}  epochs {result.epochs}\nvalidation: {found}")
    return result


if __name__ == "__main__":
    main()
