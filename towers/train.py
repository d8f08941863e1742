"""`python -m towers.train`: a dataset in, a run with two trained towers out."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from data_prep.columns import Split
from data_prep.command import command, instantiate
from data_prep.config import Node
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.files import lock
from towers.baselines import DoesNotApply
from towers.blocks import FittedBlock
from towers.fitting.checkpoints import begin
from towers.fitting.cost import CostMeter
from towers.metrics.cases import Cases, sample
from towers.metrics.evaluation import evaluate
from towers.metrics.judgements import judgement_cases
from towers.metrics.ranking_metrics import metric_names
from towers.model.one_vector import OneVectorModel, WeightedBlock
from towers.model.run_record import BlockWeightsRecord, RunRecord
from towers.model.scorer import ONE_VECTOR, model_scorer
from towers.model.selection import SELECTION
from towers.training.block_weights import weigh_blocks
from towers.training.config import TrainConfig
from towers.training.phases import Phase, Trained, train_towers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """A finished training run.

    Attributes:
        run: its folder.
        fingerprint: of the trained towers.
        metrics: best epoch's validation metrics, name -> value.
        epochs: epochs trained.
    """

    run: Path
    fingerprint: str
    metrics: Mapping[str, float]
    epochs: int


def train(config: TrainConfig, run: Path, overrides: Sequence[str] = ()) -> TrainResult:
    """Train both towers on a dataset.

    Args:
        config: everything.
        run: folder the run is written to.
        overrides: as typed to get this config, kept with the run.

    Raises:
        UsageError: the run is finished already and `resume` is not set, it was begun with other settings, or the
            data does not fit.
        GateFailed: the loss stopped being a number.
        Locked: another process trains this run.
    """
    with lock(run / ".lock", f"train {run}"):
        if RunRecord.finished(run) and not config.resume:
            raise UsageError(
                f"run: {run} is finished; resume=true keeps it as it is, run=… makes another, or remove that folder"
            )
        cost = CostMeter()
        dataset = Dataset.open(config.data)
        begin(run, begun_with(config, dataset), config.resume)
        if RunRecord.finished(run):
            return finished(config, run)
        folder = run / SELECTION if config.refit else run
        trained = train_towers(config, dataset, Phase(folder, Split.VALID, None), [cost])
        chosen = choose(config, trained)
        record = RunRecord(
            data=dataset.path.absolute(),
            dataset_fingerprint=dataset.fingerprint,
            until=Split.VALID,
            config=json.loads(json.dumps(asdict(config), default=str)),
            validation=trained.figures,
            intervals=trained.intervals,
            block_weights=chosen.record,
            epochs=trained.epochs,
            best_epoch=trained.best_epoch,
            overrides=list(overrides),
            cost=cost.spent(),
            libraries={name: version(name) for name in ("torch", "pytorch-lightning", "sentence-transformers")},
        )
        saved = chosen.model.save(folder, record)
        if config.refit:
            log.info("refitting on everything but test for %d epochs", trained.best_epoch)
            again = train_towers(config, dataset, Phase(run, Split.TEST, trained.best_epoch), [cost])
            record = replace(record, until=Split.TEST, cost=cost.spent())
            saved = reweigh(config, again, chosen.model).save(run, record)
        return TrainResult(run, saved.towers.fingerprint, trained.figures, trained.epochs)


@dataclass(frozen=True)
class ChosenModel:
    """The model that validation chose, and the figures behind the choice.

    Attributes:
        model: towers and blocks with their weights.
        record: the blocks' weights, and the figures behind them.
    """

    model: OneVectorModel
    record: BlockWeightsRecord


def choose(config: TrainConfig, trained: Trained) -> ChosenModel:
    """Fit blocks to what the towers saw, and choose their weights on validation."""
    settings, batch_size = config.block_weights, config.evaluation.batch_size
    cases = sample(deciding_cases(config, trained), settings.users, config.seed)
    items = trained.data.items
    model = weigh_blocks(trained.towers, fit_blocks(trained, config.blocks), items, cases, settings, batch_size)
    figures: dict[str, float] = {}
    if model.blocks:
        outcome = evaluate(model_scorer(ONE_VECTOR, model, items), cases, batch_size)
        figures = dict(zip(metric_names(cases.cutoffs), outcome.metrics.mean(axis=0).tolist(), strict=True))
    weights = {part.block.name: part.weight for part in model.blocks}
    return ChosenModel(model, BlockWeightsRecord(len(cases), weights, figures))


def deciding_cases(config: TrainConfig, trained: Trained) -> Cases:
    """The cases that decide the blocks' weights: validation users, or without any the judged queries not held out."""
    data, settings = trained.training_set, config.evaluation
    users = Cases.held_out(data.sequences, data.item_ids, Split.VALID, settings.exclude_seen, settings.cutoffs)
    if len(users) or data.judgements is None:
        return users
    return judgement_cases(data.judgements.answerable(), data.item_ids, settings.cutoffs)


def fit_blocks(trained: Trained, configured: Mapping[str, Node]) -> list[FittedBlock]:
    """Blocks, as configured by name, fitted to the events the towers have seen."""
    fitted: list[FittedBlock] = []
    for name, node in configured.items():
        try:
            fitted.append(instantiate(node).fit(trained.data))
        except DoesNotApply as reason:
            log.info("block %s left out: %s", name, reason)
    return fitted


def reweigh(config: TrainConfig, trained: Trained, chosen: OneVectorModel) -> OneVectorModel:
    """A refit model: the chosen blocks fitted to all that its towers saw, with the weights that were chosen before."""
    weights = {part.block.name: part.weight for part in chosen.blocks}
    blocks = fit_blocks(trained, {name: node for name, node in config.blocks.items() if name in weights})
    return OneVectorModel(trained.towers, [WeightedBlock(block, weights[block.name]) for block in blocks])


def finished(config: TrainConfig, run: Path) -> TrainResult:
    """The result of a run that is whole, for a resumed sweep to go past it.

    Raises:
        UsageError: it was trained for another number of epochs.
    """
    record = RunRecord.read(run)
    for name in ("epochs", "patience"):
        before, now = getattr(record.settings, name), getattr(config.trainer, name)
        if before != now:
            raise UsageError(f"run: {run} is finished with trainer.{name}={before}, not {now}; train anew under run=…")
    log.info("%s is finished: kept as it is", run)
    return TrainResult(run, record.fingerprint, record.validation, record.epochs)


def begun_with(config: TrainConfig, dataset: Dataset) -> dict[str, object]:
    """The settings that decide the weights, apart from how long they are trained."""
    left_out = ["data", "artifacts", "run", "resume", "trainer", "text"]
    settings = {name: value for name, value in asdict(config).items() if name not in left_out}
    text = {name: config.text[name] for name in ("_target_", "tuning", "learning_rate") if name in config.text}
    return {"dataset": dataset.fingerprint, "text": text, **settings}


@command(TrainConfig, "train")
def main(config: TrainConfig) -> TrainResult:
    """Train; the run's folder is the one Hydra made for this job."""
    hydra = HydraConfig.get()
    result = train(config, Path(hydra.runtime.output_dir), hydra.overrides.task)
    figures = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    print(f"run {result.run}  fingerprint {result.fingerprint}  epochs {result.epochs}")
    print(
        f"validation, by {result.run / SELECTION}, before the refit: {figures}"
        if config.refit
        else f"validation: {figures}"
    )
    return result


if __name__ == "__main__":
    main()
