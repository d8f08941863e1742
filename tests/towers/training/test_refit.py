"""Refitting: everything but test is learnt from, and what needs unseen users learns from the run that chose."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.columns import Split
from data_prep.command import UsageError, load_config
from data_prep.dataset import Dataset
from index.build.__main__ import build
from index.build.config import BuildConfig
from tests.tiny import RANKER_OVERRIDES
from towers import OneVectorModel
from towers.candidates.channel_selection import load_variants
from towers.candidates.config import FunnelConfig
from towers.candidates.funnel import FUNNEL, Funnel
from towers.candidates.funnel_record import FunnelResult
from towers.candidates.query_funnel import QueryFunnel
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.events.interactions import Interactions
from towers.events.reading import read_sequences
from towers.model.scorer import model_scorer
from towers.model.selection import SELECTION
from towers.ranking.config import RankerConfig
from towers.train import train
from towers.train_funnel import train_funnel
from towers.train_ranker import train_ranker
from towers.training import phases as training
from towers.training.config import TrainConfig

FUNNEL_OVERRIDES = ["threads=1", "bootstrap_samples=50", "depth=8", "channel_depth=5", "certainty=0", "folds=2"]


@pytest.fixture(scope="module")
def refit_run(tiny_train_overrides: list[str], artifacts: Path) -> Path:
    run = artifacts / "runs" / "refit"
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, "refit=true"]), run)
    return run


def test_a_refit_run_has_seen_all_but_test_for_the_epochs_that_were_best(
    refit_run: Path, tiny_run: Path, tiny_data: Path
):
    chosen, marks = json.loads((tiny_run / "run.json").read_text()), json.loads((refit_run / "run.json").read_text())
    assert (chosen["until"], marks["until"]) == ("valid", "test")
    # What validation said comes from the same training on the same events.
    assert marks["validation"] == chosen["validation"]
    assert marks["block_weights"] == chosen["block_weights"]
    assert marks["best_epoch"] == chosen["best_epoch"]
    assert list((refit_run / SELECTION / "checkpoints").glob("best*.ckpt"))
    newest = sorted((refit_run / "checkpoints").glob("epoch-*.ckpt"))[-1]
    assert newest.stem == f"epoch-{marks['best_epoch'] - 1:04d}"

    dataset = Dataset.open(tiny_data)
    seen = Interactions.of(read_sequences(dataset, ""), len(dataset.items), Split.TEST).counts() > 0
    expected = set(dataset.items["item_id"][seen])
    assert set(OneVectorModel.open(refit_run).towers.embedded) == expected
    assert not np.allclose(
        *(OneVectorModel.open(run).item_vectors(dataset.items)[:, :8] for run in (tiny_run, refit_run))
    )


def test_a_refit_that_was_interrupted_goes_on_after_the_choice(
    tiny_train_overrides: list[str], refit_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    overrides = [*tiny_train_overrides, "refit=true"]

    def interrupted(*arguments: object) -> dict[str, float]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training, "refit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(load_config(TrainConfig, "train", overrides), tmp_path)
    assert not (tmp_path / "run.json").exists()
    train(load_config(TrainConfig, "train", [*overrides, "resume=true"]), tmp_path)
    before, after = (json.loads((run / "run.json").read_text()) for run in (refit_run, tmp_path))
    assert after["best_epoch"] == before["best_epoch"]
    assert after["validation"] == before["validation"]
    assert after["fingerprint"] == before["fingerprint"]


def test_a_refit_run_is_evaluated_on_test_alone(refit_run: Path):
    overrides = [f"run={refit_run}", "evaluation.cutoffs=[10]", "threads=1", "baselines=popularity"]
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", overrides))
    assert report.until == "test"
    assert {"two towers", "one vector", "popularity"} <= set(report.scorers)
    with pytest.raises(UsageError, match="was trained on the valid events"):
        evaluate_run(load_config(EvaluateConfig, "evaluate", [*overrides, "held_out=valid"]))


def test_a_refit_would_undo_cold_items_and_is_refused(tiny_train_overrides: list[str]):
    with pytest.raises(UsageError, match=r"refit: .*cold_share=0\.1"):
        load_config(TrainConfig, "train", [*tiny_train_overrides, "refit=true", "cold_share=0.1"])


def copied(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    return folder


def funnel_of(run: Path) -> FunnelResult:
    result = train_funnel(load_config(FunnelConfig, "funnel", [f"run={run}", *FUNNEL_OVERRIDES])).users
    assert result is not None
    return result


def test_what_chose_is_kept_as_a_run(refit_run: Path, tiny_run: Path, tiny_data: Path):
    items = Dataset.open(tiny_data).items
    kept, same = OneVectorModel.open(refit_run / SELECTION), OneVectorModel.open(tiny_run)
    np.testing.assert_array_equal(kept.item_vectors(items), same.item_vectors(items))


def test_a_funnel_is_chosen_before_the_refit_and_its_channels_are_fitted_after(
    refit_run: Path, tiny_run: Path, tiny_data: Path, tmp_path: Path
):
    refit, plain = copied(refit_run, tmp_path / "refit"), copied(tiny_run, tmp_path / "plain")
    after, before = funnel_of(refit), funnel_of(plain)
    assert after.kept and before.kept  # the tiny shop has a use for channels
    assert after.by_item and not before.by_item
    assert after.ranked is not None and before.ranked is not None
    assert after.ranked.cases == before.ranked.cases
    assert load_variants(refit / FUNNEL)[1] == load_variants(plain / FUNNEL)[1]
    served, chosen = Funnel.load(refit / FUNNEL), Funnel.load(plain / FUNNEL)
    dataset = Dataset.open(tiny_data)
    log = read_sequences(dataset, "")
    events = [Interactions.of(log, len(dataset.items), split).counts().sum() for split in (Split.VALID, Split.TEST)]
    assert events[1] > events[0]
    assert served.item_statistics.table[:, 0].sum() > chosen.item_statistics.table[:, 0].sum()


def test_a_refit_run_has_a_funnel_for_queries_too(refit_run: Path, tiny_data: Path, tmp_path: Path):
    run = copied(refit_run, tmp_path / "run")
    overrides = [f"run={run}", *FUNNEL_OVERRIDES, "users=0", "queries.least=4"]
    result = train_funnel(load_config(FunnelConfig, "funnel", overrides)).queries
    assert result is not None and result.source == "synthetic"
    model = OneVectorModel.open(run)
    served = QueryFunnel.of(run, model.fingerprint, model_scorer("one vector", model, Dataset.open(tiny_data).items))
    assert served is not None
    log = read_sequences(Dataset.open(tiny_data), "")
    counts = Interactions.of(log, len(served.towers.items), Split.TEST).counts()
    np.testing.assert_allclose(served.funnel.item_statistics.table[:, 0], np.log1p(counts), rtol=1e-6)


def test_a_refit_run_is_built_with_funnel_and_reranker(
    refit_run: Path, tiny_encoder: Path, artifacts: Path, tmp_path: Path
):
    run = copied(refit_run, tmp_path / "run")
    kept = funnel_of(run).kept
    bert = tiny_encoder.parent / "bert"
    overrides = [f"run={run}", f"artifacts={artifacts}", f"model.folder={bert}", *RANKER_OVERRIDES]
    assert train_ranker(load_config(RankerConfig, "train_ranker", overrides)).users is not None
    built = build(load_config(BuildConfig, "build", [f"run={run}", f"artifacts={tmp_path}", "cross_encoder=always"]))
    assert list(Funnel.load(built.path / FUNNEL).channels) == kept
    assert (built.path / "cross_encoder").is_dir()
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", "baselines=none"]))
    assert report.funnel is not None
    assert report.funnel.stages.keys() >= {"recall", "fused", "cross-encoder"}


def test_a_refit_run_without_what_chose_it_is_refused(refit_run: Path, tmp_path: Path):
    run = copied(refit_run, tmp_path / "run")
    shutil.rmtree(run / SELECTION)
    with pytest.raises(UsageError, match="does not hold its selection; train anew"):
        funnel_of(run)
