"""The memory of a tuning: an optuna study on disk that a killed tuning finds as it left it."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

log = logging.getLogger(__name__)

DATABASE = "study.db"


def tpe(seed: int, random_trials: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), after some trials at random."""
    return TPESampler(seed=seed, n_startup_trials=random_trials)


def uniform(seed: int) -> BaseSampler:
    """Every trial at random (Bergstra & Bengio, JMLR 2012)."""
    return RandomSampler(seed=seed)


class Study:
    """Trials with their settings and values; one process at a time may hold it.

    Args:
        folder: where `study.db` is or will be.
        space: distribution of each setting.
        sampler: makes the sampler from a `seed`.
        seed: of the tuning. Each trial draws from a seed of its own, so that a tuning that was interrupted goes on as
            it would have gone.
    """

    def __init__(
        self, folder: Path, space: Mapping[str, BaseDistribution], sampler: Callable[..., BaseSampler], seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = dict(space)
        self._sampler, self._seed = sampler, seed
        self._study = optuna.create_study(
            storage=f"sqlite:///{folder / DATABASE}", study_name="tuning", direction="maximize", load_if_exists=True
        )

    def next(self) -> FrozenTrial:
        """The trial to run now: one that was cut short, else a new one."""
        for trial in self._in(TrialState.RUNNING):
            if trial.params.keys() == self._distributions.keys():
                log.info("trial %d was cut short and goes on", trial.number)
                return trial
            self.fail(trial)  # cut short before it had its settings
        self._study.sampler = self._sampler(seed=self._seed * 100_003 + len(self._study.trials))
        number = self._study.ask(self._distributions).number
        return self._study.trials[number]

    def twin(self, trial: FrozenTrial) -> FrozenTrial | None:
        """A finished trial of the same settings."""
        return next((other for other in self._in(TrialState.COMPLETE) if other.params == trial.params), None)

    def complete(self, trial: FrozenTrial, value: float) -> None:
        """Note a trial's value."""
        self._study.tell(trial.number, value)

    def fail(self, trial: FrozenTrial) -> None:
        """Note that a trial came to nothing."""
        self._study.tell(trial.number, state=TrialState.FAIL)

    def ended(self) -> int:
        """Trials that need nothing more."""
        return len(self._in(TrialState.COMPLETE, TrialState.FAIL))

    def best(self) -> FrozenTrial | None:
        """The trial of the greatest value; None as long as there is none."""
        return max(self._in(TrialState.COMPLETE), key=lambda trial: (trial.value, -trial.number), default=None)

    def _in(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)


def overrides_of(params: Mapping[str, object]) -> list[str]:
    """A trial's settings as they would be typed; six digits of a number are enough."""
    return [f"{key}={f'{value:.6g}' if isinstance(value, float) else value}" for key, value in params.items()]
