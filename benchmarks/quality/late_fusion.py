"""Late fusion, which no server can answer by: baselines added to a run's one vector, weighed on validation users.

    python -m benchmarks.quality.late_fusion --channels markov,cooccurrence run=artifacts/runs/beauty

Evaluates a run as `python -m towers.evaluate` does, whose overrides it takes, with one more row, "late fused".
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from data_prep.columns import Columns, Split
from data_prep.command import load_config
from data_prep.config import Node
from data_prep.files import write_json
from towers.baselines import Baseline, Mix, choose_weights, fitted_baselines
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.events import TrainingData, read_sequences_of
from towers.metrics import Cases, Scorer, sample
from towers.model import ONE_VECTOR, OneVectorModel, RunRecord, model_scorer, selection_of
from towers.training import TrainConfig, calibrated

LATE_FUSED = "late fused"
WEIGHTS = "late_fusion.json"
"""Weight of each channel, in a run's folder."""


def late_fused(
    model: OneVectorModel,
    channels: Mapping[str, Baseline],
    weights: Mapping[str, float],
    items: pd.DataFrame,
    cases: Cases,
    batch_size: int,
) -> Mix:
    """The model's one vector and, fused late, scorers that do not fit into a vector.

    Args:
        model: weighs 1.
        channels: fitted baselines, by name.
        weights: of each, in score deviations.
        items: the catalogue.
        cases: users over whom deviations are measured.
        batch_size: users scored at a time.
    """
    parts: list[tuple[Scorer, float]] = [(model_scorer(ONE_VECTOR, model, items), 1.0)]
    parts += [(channel, weights[name]) for name, channel in channels.items()]
    return calibrated(LATE_FUSED, parts, cases, batch_size)


def channel_weights(run: Path, data: Path | None, configured: Mapping[str, Node]) -> dict[str, float]:
    """Weights of channels, by name, that rank best on the validation users, chosen as those of the blocks are.

    Args:
        run: a run; of one that was refit, the run that chose for it is asked, which has not seen those users.
        data: its dataset; None finds it.
        configured: the channels, by name.
    """
    run = selection_of(run)
    record, model = RunRecord.read(run), OneVectorModel.open(run)
    trained, dataset = TrainConfig.of_run(record), record.open_data(data)
    sequences, items, evaluation = read_sequences_of(dataset, trained.log), dataset.items, trained.evaluation
    item_ids = [str(item_id) for item_id in items[Columns.ITEM_ID]]
    cases = Cases.held_out(sequences, item_ids, Split.VALID, evaluation.exclude_seen, evaluation.cutoffs)
    settings = trained.block_weights
    cases = sample(cases, settings.users, trained.seed)
    channels, _ = fitted_baselines(configured if len(cases) else {}, model.towers.seen(sequences, items, record.until))
    nothing = dict.fromkeys(channels, 0.0)
    if not nothing:
        return nothing
    mix = late_fused(model, channels, nothing, items, cases, evaluation.batch_size)
    weights = choose_weights(mix, cases, settings.grid, settings.passes, settings.certainty, evaluation.batch_size)
    return dict(zip(channels, weights[1:], strict=True))


def evaluate_fused(names: Sequence[str], overrides: Sequence[str]) -> None:
    """Evaluate a run with channels fused late; `metrics.json` and the channels' weights are written to it."""
    config = load_config(EvaluateConfig, "evaluate", overrides)
    configured = load_config(EvaluateConfig, "evaluate", [*overrides, f"baselines=[{','.join(names)}]"]).baselines
    weights = channel_weights(config.run, config.data, configured)

    def fused(model: OneVectorModel, training: TrainingData, cases: Cases) -> Iterable[Scorer]:
        channels, _ = fitted_baselines({name: configured[name] for name in weights}, training)
        if channels:
            yield late_fused(model, channels, weights, training.items, cases, config.evaluation.batch_size)

    evaluate_run(config, fused).write(config.run)
    write_json(config.run / WEIGHTS, weights)


def main() -> None:
    """Evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", required=True, help="baselines that are fused, conf/baselines")
    parser.add_argument("overrides", nargs="+", help="of python -m towers.evaluate")
    arguments = parser.parse_args()
    evaluate_fused(arguments.channels.split(","), arguments.overrides)


if __name__ == "__main__":
    main()
