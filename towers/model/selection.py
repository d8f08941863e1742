"""The run within a refit run: what chose its recipe, and what may be learnt from when the refit model has seen all."""

from pathlib import Path

from data_prep.columns import Split
from data_prep.errors import UsageError
from towers.model.run_record import RunRecord

SELECTION = "selection"
"""Folder, within a run that is refit, of the run that chose its number of epochs and its weights."""


def selection_of(run: Path) -> Path:
    """The run that has not seen the validation split: the run itself, or the one within a refit run that chose for it.

    What learns from validation users learns from this one's answers; a model that knows the users' next steps flatters.

    Raises:
        UsageError: the folder is no whole run, or a refit one without the run that chose for it.
    """
    if RunRecord.read(run).until is Split.VALID:
        return run
    selection = run / SELECTION
    if RunRecord.finished(selection) and RunRecord.read(selection).until is Split.VALID:
        return selection
    raise UsageError(f"run: {run} was refit on the validation split and does not hold its {SELECTION}; train anew")
