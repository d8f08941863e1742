"""The list for users without history: decided in a build, and held by the bundle."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from index import Bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from index.build.report import REPORT, BuildResult
from towers import OneVectorModel
from towers.baselines import Popularity
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.metrics.users_without_history import metrics_without_history, scores_without_history


def built(run: Path, data: Path, folder: Path, *overrides: str) -> BuildResult:
    line = [f"run={run}", f"data={data}", f"bundles={folder}", "threads=1", "export.enabled=false", *overrides]
    return build(load_config(BuildConfig, "build", line))


@pytest.fixture(scope="module")
def sequences(tiny_data: Path):
    return read_sequences(Dataset.open(tiny_data), "")


def test_the_list_is_chosen_on_users_the_towers_did_not_see_and_counted_on_all_there_is(
    tiny_run: Path, tiny_data: Path, sequences, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset, model = Dataset.open(tiny_data), OneVectorModel.open(tiny_run)
    everything = model.towers.seen(sequences, dataset.items, None)
    popular = everything.interactions.counts()
    cases = Cases.held_out(sequences, [str(i) for i in dataset.items["item_id"]], Split.VALID, True, [10])
    # A tiny shop's towers are good enough for users without history. These show what is relevant to most users last.
    relevant = np.bincount(np.concatenate(cases.truth), minlength=len(popular))
    monkeypatch.setattr("index.build.users_without_history.exact_scores", lambda *_: -relevant.astype(np.float32))
    result = built(tiny_run, tiny_data, tmp_path, "fallbacks=standard")
    bundle = Bundle.load(result.path)
    decision = json.loads((result.path / REPORT).read_text())["users_without_history"]
    assert bundle.fallback is not None and decision["name"] == bundle.fallback.name
    assert set(decision["compared"]) == {"popularity", "decayed_popularity", "trending"}
    assert result.users_without_history.why == decision["why"]
    seen = model.towers.seen(sequences, dataset.items, Split.VALID)
    expected = metrics_without_history(scores_without_history(Popularity().fit(seen)), cases)[:, 1].mean()
    assert decision["compared"]["popularity"]["after"] == pytest.approx(expected)
    only = Bundle.load(built(tiny_run, tiny_data, tmp_path, "~fallbacks", "+baselines@fallbacks=popularity").path)
    assert only.fallback is not None and only.fallback.name == "popularity"
    assert only.fallback.rows.tolist() == np.argsort(-popular, kind="stable")[: (popular > 0).sum()].tolist()


def test_without_lists_users_without_history_get_the_towers_answer(tiny_run: Path, tiny_data: Path, tmp_path: Path):
    result = built(tiny_run, tiny_data, tmp_path, "fallbacks=none")
    assert Bundle.load(result.path).fallback is None
    assert result.users_without_history.why.startswith("towers")
