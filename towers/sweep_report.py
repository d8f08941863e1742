"""`python -m towers.sweep_report`: the trials of a sweep or a tuning, as a table, as figures and as plots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.command import command
from data_prep.config import require
from data_prep.errors import GateFailed, UsageError
from towers.tuning.table import explanation, failures, group_frame, markdown, print_groups, trial_frame
from towers.tuning.trials import Trial, TrialGroup, compare, gather


@dataclass
class SweepReportConfig:
    """`python -m towers.sweep_report`.

    Attributes:
        folder: of a sweep or a tuning, or a list of such.
        to: where the report goes; null for the first folder.
        metric: validation figure by which trials are compared.
        confidence: of the intervals over seeds.
        x: setting on the horizontal axis of the plot by setting, if it varies.
        by: setting shown by colour there, if it varies.
        plots: whether to draw.
    """

    folder: Any
    to: Path | None
    metric: str
    confidence: float
    x: str
    by: str
    plots: bool

    def __post_init__(self) -> None:
        require("confidence", self.confidence, 0.01, 0.999)
        if not isinstance(self.folder, str | list) or not self.folder:
            raise UsageError(f"folder: {self.folder!r} is neither a folder nor a list of folders")

    @property
    def folders(self) -> list[Path]:
        """Where the trials are."""
        return [Path(folder) for folder in (self.folder if isinstance(self.folder, list) else [self.folder])]


@dataclass(frozen=True)
class SweepReport:
    """A report, as it was written.

    Attributes:
        folder: where it was written.
        groups: finished trials grouped over seeds, best first.
        failed: trials without figures.
        plots: files that were drawn.
    """

    folder: Path
    groups: list[TrialGroup]
    failed: list[Trial]
    plots: list[Path]


def report(config: SweepReportConfig) -> SweepReport:
    """Gather the trials, compare them, and write `report.md`, `report.csv`, `trials.csv` and plots.

    Raises:
        UsageError: there are no trials, no such metric, or no matplotlib to draw with.
        GateFailed: no trial is finished.
    """
    trials = gather(config.folders)
    groups, failed = compare(trials, config.metric, config.confidence), [t for t in trials if t.reason]
    if not groups:
        raise GateFailed("; ".join(["no trial is finished", *failures([], failed)]))
    folder = config.to or config.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    plots = []
    if config.plots:
        from towers.tuning.plots import draw  # says what to install if matplotlib is missing

        plots = draw(groups, config.metric, config.x, config.by, folder)
    group_frame(groups, config.metric).to_csv(folder / "report.csv", index=False)
    trial_frame(groups, failed).to_csv(folder / "trials.csv", index=False)
    lines = [
        f"# {', '.join(str(f) for f in config.folders)}",
        f"{len(trials) - len(failed)} finished trials, {len(groups)} settings, best first; validation figures.",
        markdown(groups, config.metric),
        explanation(groups, config.confidence),
        *(f"![{path.stem.replace('_', ' ')}]({path.name})" for path in plots),
    ]
    if failed:
        lines += ["## Without figures", "\n".join(f"- {line}" for line in failures(groups, failed))]
    (folder / "report.md").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return SweepReport(folder, groups, failed, plots)


@command(SweepReportConfig, "sweep_report")
def main(config: SweepReportConfig) -> SweepReport:
    """Report, and print the table."""
    made = report(config)
    print_groups(made.groups, made.failed, config.metric, config.confidence)
    print(f"written to {made.folder}: report.md, report.csv, trials.csv {' '.join(path.name for path in made.plots)}")
    return made


if __name__ == "__main__":
    main()
