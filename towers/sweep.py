"""The table at the end of a sweep: every trial with what it changed and what it reached, best first."""

from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from towers.train import WATCHED


class SweepTable(Callback):
    """Prints the trials of a multirun, sorted by validation NDCG@10."""

    def __init__(self) -> None:
        self.jobs: list[JobReturn] = []

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Remember a trial."""
        self.jobs.append(job_return)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table."""
        watched = WATCHED.removeprefix("valid/")
        done = [job for job in self.jobs if job.status is JobStatus.COMPLETED]
        done.sort(key=lambda job: -job.return_value.metrics[watched])
        table = Table(title="sweep, best first (validation)")
        names = list(done[0].return_value.metrics) if done else []
        for column in ("overrides", *names, "epochs", "run"):
            table.add_column(column, justify="left" if column in ("overrides", "run") else "right")
        for job in done:
            result = job.return_value
            values = [f"{result.metrics[name]:.4f}" for name in names]
            table.add_row(" ".join(job.overrides or []), *values, str(result.epochs), str(result.run))
        for job in self.jobs:
            if job not in done:
                table.add_row(" ".join(job.overrides or []), *["failed"] * len(names), "", "")
        Console(width=200 if not Console().is_terminal else None).print(table)
