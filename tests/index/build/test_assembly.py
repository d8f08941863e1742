"""Sources of a build and its costs: the log as the run saw it, one user encoder, no test event."""

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from index import Bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from towers import OneVectorModel
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.train import train
from towers.training.config import TrainConfig


@pytest.fixture
def built(tiny_data, tmp_path):
    """`built(run, "export.enabled=false")`: the result of a build of a run."""

    def make(run, *overrides):
        line = [f"run={run}", f"data={tiny_data}", f"bundles={tmp_path / 'bundles'}", "threads=1", *overrides]
        return build(load_config(BuildConfig, "build", line))

    return make


@pytest.fixture
def leave_one_out_run(tiny_train_overrides, tmp_path):
    """A run that was trained under another split than the dataset's default."""
    run = tmp_path / "leave_one_out"
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, f"run={run.name}", "protocol=leave_one_out"]), run)
    return run


def test_popularity_counts_the_training_events_of_the_runs_own_split(built, leave_one_out_run, tiny_data):
    dataset = Dataset.open(tiny_data)

    def popularity(protocol):
        log = read_sequences(dataset, protocol)
        return np.bincount(log.rows[log.splits == Split.TRAIN], minlength=len(dataset.items)).tolist()

    assert popularity("leave_one_out") != popularity("")
    bundle = Bundle.load(built(leave_one_out_run, "export.enabled=false").path)
    assert bundle.items["popularity"].tolist() == popularity("leave_one_out")


@pytest.fixture
def held_out(monkeypatch):
    """The splits whose events a build takes for unknown, in order."""
    whole, splits = Cases.held_out, []

    def recorded(sequences, item_ids, split, *arguments):
        splits.append(Split(split))
        return whole(sequences, item_ids, split, *arguments)

    monkeypatch.setattr(Cases, "held_out", recorded)
    return splits


def test_no_decision_of_a_build_looks_at_the_test_split(built, tiny_run, held_out):
    result = built(tiny_run, "cross_encoder=always", "export.users=5")
    assert result.served is not None and result.served.loss is not None
    assert held_out == [Split.VALID, Split.VALID]


def test_the_user_encoder_is_made_once(built, tiny_run, monkeypatch):
    whole, made = OneVectorModel.user_encoder, []
    monkeypatch.setattr(OneVectorModel, "user_encoder", lambda *a: made.append(1) or whole(*a))
    built(tiny_run, "cross_encoder=always", "export.users=5")
    assert made == [1]
