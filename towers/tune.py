"""`python -m towers.tune`: the settings of `towers.train` that reach the most, by hyper-parameter search."""

import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.columns import Split
from data_prep.command import command, instantiate
from data_prep.config import Node, require
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from data_prep.files import lock
from towers.events.reading import read_sequences
from towers.fitting.checkpoints import begin
from towers.metrics.ranking_metrics import metric_names
from towers.model.run_record import RunRecord
from towers.training.config import TrainConfig
from towers.tuning.table import print_trials
from towers.tuning.trial import run_training, terminations_as_interrupts, typed_value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from towers.tuning.study import Study

log = logging.getLogger(__name__)


@dataclass
class TuneConfig:
    """`python -m towers.tune`.

    Attributes:
        artifacts: where tunings, caches and data are kept.
        name: of the tuning; the same name goes on where it was left.
        overrides: of `towers.train`, the same for every trial.
        space: setting -> {choices} or {low, high} with log or step.
        sampler: makes an optuna sampler from a seed.
        metric: validation figure to be large.
        trials: at most, those that failed included.
        seeds_per_trial: trainings of each trial; their mean is its value.
        seed: of the sampler, and the first one of each trial.
    """

    artifacts: Path
    name: str
    overrides: list[str]
    space: dict[str, Any]
    sampler: Node
    metric: str
    trials: int
    seeds_per_trial: int
    seed: int

    def __post_init__(self) -> None:
        require("trials", self.trials, 1)
        require("seeds_per_trial", self.seeds_per_trial, 1)
        require("seed", self.seed, 0)
        if not self.name or "/" in self.name:
            raise UsageError(f"name: {self.name!r} is no name for a folder")

    @property
    def folder(self) -> Path:
        """Folder of the tuning."""
        return self.artifacts / "tuning" / self.name


@dataclass(frozen=True)
class TuneResult:
    """The best settings that a tuning has found.

    Attributes:
        folder: of the tuning.
        best: number of its best trial.
        value: that trial's metric, the mean over its seeds.
        overrides: of `towers.train`, to train a run like it.
        trials: that ended, failed ones included.
        confidence: of the intervals, as in the trials.
    """

    folder: Path
    best: int
    value: float
    overrides: list[str]
    trials: int
    confidence: float


def tune(config: TuneConfig) -> TuneResult:
    """Run trials until there are as many as asked for; what an earlier call began is gone on with.

    Raises:
        UsageError: optuna is missing; space, overrides or metric are wrong; the tuning was begun with others.
        GateFailed: no trial came to anything.
        Locked: another process runs this tuning, or one of its trainings outlived a kill.
        KeyboardInterrupt: after Ctrl-C, with the training at hand stopped at its last whole epoch.
    """
    from towers.tuning.space import parse_space  # says what to install if optuna is missing
    from towers.tuning.study import Study, overrides_of

    space = parse_space(config.space)
    base = checked(config, space)
    folder = config.folder
    with lock(folder / ".lock", f"tune {folder}"), terminations_as_interrupts():
        begin(folder, begun_with(config, base), resume=True)
        study = Study(folder, space, instantiate(config.sampler), config.seed)
        while study.ended() < config.trials:
            trial = study.next()
            run_trial(config, study, trial, overrides_of(trial.params))
        best = study.best()
        if best is None:
            raise GateFailed(f"none of {study.ended()} trials came to anything; their log.txt in {folder} say why")
        assert best.value is not None
        overrides = [*config.overrides, *overrides_of(best.params)]
        return TuneResult(folder, best.number, best.value, overrides, study.ended(), base.evaluation.confidence)


def checked(config: TuneConfig, space: Mapping[str, "BaseDistribution"]) -> TrainConfig:
    """The configuration of training that the tuning varies, after everything that can be refused was tried.

    Raises:
        UsageError: something does not fit; it is named.
    """
    from towers.tuning.space import check_space

    base = check_space(space, config.overrides, config.artifacts)
    dataset = Dataset.open(base.data)
    if not (read_sequences(dataset, base.protocol).splits == Split.VALID).any():
        raise UsageError(f"{dataset.path} has no validation events, so there are no figures to tune by")
    names = metric_names(base.evaluation.cutoffs)
    if config.metric not in names:
        raise UsageError(f"metric: {config.metric!r} is none of those training reports: {', '.join(names)}")
    return base


def begun_with(config: TuneConfig, base: TrainConfig) -> dict[str, object]:
    """The settings that a tuning keeps from its first trial to its last; the number of trials may grow."""
    names = ("overrides", "space", "sampler", "metric", "seeds_per_trial", "seed")
    return {"dataset": Dataset.open(base.data).fingerprint, **{name: getattr(config, name) for name in names}}


def run_trial(config: TuneConfig, study: "Study", trial: "FrozenTrial", settings: list[str]) -> None:
    """Train with every seed and note the mean, or that it failed."""
    title = f"trial {trial.number} of {config.trials}: {' '.join(settings)}"
    twin = study.twin(trial)
    if twin is not None and twin.value is not None:
        log.info("%s is trial %d again: %.4f", title, twin.number, twin.value)
        study.complete(trial, twin.value)
        return
    log.info("%s", title)
    values = []
    for seed in range(config.seed, config.seed + config.seeds_per_trial):
        run = config.folder / f"{trial.number:04d}" / f"seed-{seed}"
        of_trial = [
            f"artifacts={typed_value(str(config.artifacts))}",
            f"run={config.name}-{trial.number:04d}-seed-{seed}",
            f"seed={seed}",
        ]
        if not run_training(run, [*config.overrides, *settings, *of_trial]):
            log.warning("trial %d failed; %s says why", trial.number, run)
            study.fail(trial)
            return
        figures = RunRecord.read(run).validation
        if config.metric not in figures:
            raise GateFailed(f"{run} has no {config.metric}: nobody in the validation split has anything to be found")
        values.append(float(figures[config.metric]))
    study.complete(trial, float(np.mean(values)))
    best = study.best()
    assert best is not None
    log.info("%s → %s %.4f (best %.4f, trial %d)", title, config.metric, np.mean(values), best.value, best.number)


@command(TuneConfig, "tune")
def main(config: TuneConfig) -> TuneResult:
    """Tune, print the table and the best settings."""
    result = tune(config)
    print_trials(result.folder, config.metric, result.confidence)
    print(f"best of {result.trials} trials: trial {result.best}, {config.metric} {result.value:.4f}")
    print(f"python -m towers.train {shlex.join(result.overrides)}")
    return result


if __name__ == "__main__":
    main()
