"""Datasets of the benchmark: prepared by our own command, handed to peers without their answers."""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.environments import packages_of, python_of
from benchmarks.quality.measure import run
from benchmarks.quality.peers.exchange import Material
from benchmarks.quality.plan import QualityPlan
from data_prep import Columns, Dataset, Split
from data_prep.files import fingerprint, read_json, write_json
from towers.events import Sequences, read_sequences
from towers.metrics import Cases

MARK = "prepared.json"
VALIDATION_SEED = 0


@dataclass(frozen=True)
class QualityDataset:
    """A dataset that is ready.

    Attributes:
        dataset: the tables.
        cutoffs: the k of the metrics.
        validation_users: users on whom peers choose their number of epochs.
    """

    dataset: Dataset
    cutoffs: list[int]
    validation_users: int

    @cached_property
    def sequences(self) -> Sequences:
        """Every user's events."""
        return read_sequences(self.dataset, "")

    @cached_property
    def item_ids(self) -> list[str]:
        """The catalogue."""
        return [str(i) for i in self.dataset.items[Columns.ITEM_ID]]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Training events of each item, [N]."""
        training = self.sequences.rows[self.sequences.splits == Split.TRAIN]
        return np.bincount(training, minlength=len(self.item_ids))

    def cases(self, split: Split, max_users: int | None = None) -> Cases:
        """Who is evaluated. What a user has is neither recommended nor relevant, as our own default has it."""
        return Cases.held_out(
            self.sequences, self.item_ids, split, True, self.cutoffs, max_users=max_users, seed=VALIDATION_SEED
        )

    def material(self, test: Cases) -> Material:
        """Input of peers: everything before the test part, and the users to answer for."""
        sequences, valid = self.sequences, self.cases(Split.VALID, self.validation_users)
        seen = sequences.splits < Split.TEST
        before = np.concatenate([[0], np.cumsum(seen)])
        return Material(
            offsets=before[sequences.offsets],
            rows=sequences.rows[seen],
            valid=sequences.splits[seen] == Split.VALID,
            num_items=len(self.item_ids),
            exclude_seen=test.exclude_seen,
            valid_users=valid.users,
            valid_truth=np.concatenate(valid.truth),
            valid_bounds=np.concatenate([[0], np.cumsum([len(relevant) for relevant in valid.truth])]),
            test_users=test.users,
        )


def prepare(name: str, plan: QualityPlan, shared: Path, artifacts: Path) -> Path:
    """The folder of a dataset, made unless it is there and was made the same way.

    Raises:
        GateFailed: the command failed.
    """
    target = artifacts / "data" / name
    mark = artifacts / "data" / f"{name}.{MARK}"
    dataset = plan.datasets[name]
    overrides = [part.replace("{shared}", str(shared.absolute())) for part in dataset.prepare]
    if dataset.environment:
        python = python_of(dataset.environment, plan.environments[dataset.environment], artifacts / "envs")
        overrides = [part.replace("{packages}", str(packages_of(python.absolute()))) for part in overrides]
    made_by = fingerprint(*overrides)
    if mark.is_file() and read_json(mark)["made_by"] == made_by and (target / "manifest.json").is_file():
        return target
    print(f"preparing {name}", flush=True)
    command = [sys.executable, "-m", "data_prep", *overrides, f"name={name}", f"artifacts={artifacts.absolute()}"]
    cost = run(command, artifacts / "logs" / f"prepare-{name}.log", 1)
    write_json(mark, {"made_by": made_by, "seconds": cost.seconds})
    return target
