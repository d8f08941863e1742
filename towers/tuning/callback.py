"""The account of a multirun: each failed trial's reason in its folder, and at the end the table of all, best first."""

import atexit
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from data_prep.config import describe
from data_prep.errors import UsageError
from towers.training.phases import WATCHED
from towers.tuning.table import print_trials
from towers.tuning.trials import forget_failure, note_failure


class SweepTable(Callback):
    """Prints the trials of a multirun, sorted by the validation figure that training watches."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """See to the table; `on_multirun_end` would not be called after a trial failed or after Ctrl-C."""
        atexit.register(print_sweep, Path(config.hydra.sweep.dir), float(config.evaluation.confidence))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forget the reason of an earlier attempt's failure."""
        forget_failure(Path(config.hydra.runtime.output_dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Keep the reason of a failure with the trial."""
        if job_return.status is JobStatus.FAILED:
            try:
                _ = job_return.return_value
            except Exception as error:  # whatever ended the trial
                note_failure(Path(config.hydra.runtime.output_dir), describe(error) or type(error).__name__)


def print_sweep(folder: Path, confidence: float) -> None:
    """The table of every trial in a sweep's folder."""
    try:
        print_trials(folder, WATCHED.removeprefix("valid/"), confidence)
    except UsageError as error:
        print(f"no table: {error}")
