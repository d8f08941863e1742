"""`python -m index.build`, whole: the bundle it publishes, its refusals, its exit codes, its speed."""

import json
import os
import re
import resource
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.command import GateFailed, UsageError, load_config
from data_prep.dataset import Dataset
from data_prep.prepare import PrepareConfig, prepare
from index import Bundle, LiveBundle, current_bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from index.bundle.publication import building
from index.calibration.measures import index_recall
from tests import processes
from tests.tiny import tabular_overrides
from towers import CrossEncoder, InputTemplate, OneVectorModel
from towers.model.truncation import truncate
from towers.ranking import CROSS_ENCODER
from towers.train import train
from towers.training.config import TrainConfig

ROOT = Path(__file__).parents[3]
QUICK = ["threads=1", "export.enabled=false"]


@pytest.fixture
def command(tiny_run, tiny_data, tmp_path):
    """`command("index=exact")` runs the real process into a folder of its own."""

    def run(*overrides):
        line = [f"run={tiny_run}", f"data={tiny_data}", f"bundles={tmp_path / 'bundles'}", *QUICK, *overrides]
        return processes.run(processes.python("-m", "index.build", *line), timeout=120)

    return run


@pytest.fixture
def config(tiny_run, tiny_data, tmp_path):
    """`config("index=exact")` is the same for calling `build`."""

    def make(*overrides):
        line = [f"run={tiny_run}", f"data={tiny_data}", f"bundles={tmp_path / 'bundles'}", *QUICK, *overrides]
        return load_config(BuildConfig, "build", line)

    return make


@pytest.fixture
def other_data(tiny_logs, tmp_path):
    """The same logs, split otherwise."""
    overrides = [*tabular_overrides(*tiny_logs), f"artifacts={tmp_path}", "name=other", "split=leave_one_out"]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


def published(bundles):
    return sorted(path.name for path in bundles.glob("2*")) if bundles.exists() else []


def test_a_build_publishes_a_bundle_and_says_what_and_why(command, tmp_path):
    result = command()
    assert result.returncode == 0, result.stderr
    folder = current_bundle(tmp_path / "bundles")
    assert f"bundles/{folder.name} is current" in result.stdout.replace("\n", "")
    assert "fewer than exact_below=20,000: exact" in result.stdout
    assert "index recall@30" in result.stdout
    report = json.loads((folder / "report.json").read_text())
    assert report["index_recall"]["measured"] == 1.0
    assert report["index_recall"]["k"] == 30
    assert {"read", "encode items", "encode users", "index"} <= report["seconds"].keys()


def test_the_manifest_tells_where_everything_came_from(tiny_bundle, tiny_run, tiny_data):
    manifest = Bundle.load(tiny_bundle).manifest
    towers = OneVectorModel.open(tiny_run)
    assert manifest.version == tiny_bundle.resolve().name
    assert manifest.metric == towers.metric == "inner_product"
    assert manifest.dim == towers.dim
    assert manifest.exclude_seen == towers.exclude_seen
    assert manifest.fingerprints["run"] == towers.fingerprint
    assert manifest.fingerprints["dataset"] == Dataset.open(tiny_data).fingerprint
    assert "cross_encoder" in manifest.fingerprints
    assert "faiss-cpu" in manifest.libraries or "faiss-gpu" in manifest.libraries


def test_any_account_may_read_a_bundle(tiny_bundle):
    assert all(path.stat().st_mode & 0o004 for path in tiny_bundle.resolve().rglob("*"))


def test_the_same_inputs_give_the_same_contents(config, tmp_path):
    first, second = (build(config()) for _ in range(2))
    assert first.version.rpartition("-")[2] == second.version.rpartition("-")[2]


def test_a_forced_product_quantiser_gives_way_where_vectors_are_too_few(config):
    result = build(config("index=factory"))
    assert result.plan.factory == "Flat"
    assert "too few vectors for IVF1,PQ" in result.plan.reason


def test_a_factory_string_that_cannot_be_served_is_refused_before_anything_is_encoded(command):
    result = command("index=factory", "index.factory='IVF1,PQ2'")
    assert result.returncode == 2
    assert "write 'IVF1,PQ2np'" in result.stderr
    assert "encode items" not in result.stdout


@pytest.fixture
def two_thousand_more(monkeypatch):
    """The tiny catalogue with many more titles."""
    items = Dataset.items.func

    def many(self):
        table = items(self)
        rng = np.random.default_rng(0)
        titles = [" ".join(rng.choice(table["title"].tolist(), 3)) for _ in range(2_000)]
        new = pd.DataFrame({"item_id": [f"new-{row}" for row in range(2_000)], "title": titles, "text": titles})
        return pd.concat([table, new], ignore_index=True)

    monkeypatch.setattr(Dataset, "items", property(many))


def test_a_larger_catalogue_gets_inverted_lists_that_recall_enough(two_thousand_more, config, tmp_path):
    result = build(config("index.exact_below=1000", "recall_k=20"))
    assert result.plan.factory == result.trials[0].factory
    assert {trial.factory.partition(",")[0] for trial in result.trials} == {"IVF32"}
    assert len(result.trials) == 3
    folder = current_bundle(tmp_path / "bundles")
    bundle = Bundle.load(folder)
    assert bundle.manifest.index.parameters == result.calibration.parameters
    assert bundle.index.stored.form == bundle.manifest.index.vectors == result.plan.vectors
    report = json.loads((folder / "report.json").read_text())
    assert [point["recall"] for point in report["curve"]] == [point.recall for point in result.calibration.curve]
    assert len(report["tried"]["indexes"]) == 3
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    histories = [bundle.histories.at(place) for place in range(len(bundle.histories))]
    users = bundle.user_encoder.encode(histories, [""] * len(histories))
    assert index_recall(bundle.index, users, 20) >= 0.95
    seen = [history.rows for history in histories]
    for hits, excluded in zip(bundle.index.search(users, 20, seen), seen, strict=True):
        assert len(hits.rows) == 20 and not np.isin(hits.rows, excluded).any()


def test_data_of_another_fingerprint_is_refused_in_two_seconds_with_both(command, other_data, tiny_data, tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = command(f"data={other_data}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The processor's time, which other work on the machine does not lengthen; nothing here waits for anything.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 2
    assert result.returncode == 2
    assert Dataset.open(other_data).fingerprint in result.stderr
    assert Dataset.open(tiny_data).fingerprint in result.stderr
    assert "Traceback" not in result.stderr
    assert published(tmp_path / "bundles") == []


def test_a_cross_encoder_of_other_towers_is_refused_with_both(config, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    marks = json.loads((run / CROSS_ENCODER / "run.json").read_text())
    (run / CROSS_ENCODER / "run.json").write_text(json.dumps(marks | {"towers_fingerprint": "0123456789abcdef"}))
    with pytest.raises(UsageError, match=r"0123456789abcdef.*train_ranker run=.* trains it again") as refusal:
        build(config(f"run={run}"))
    assert OneVectorModel.open(tiny_run).fingerprint in str(refusal.value)


@pytest.mark.parametrize(
    ("better", "overrides", "published", "why"),
    [
        (True, [], True, r"published: NDCG@10 \+0\.0100 \(\+0\.0020 … \+0\.0180\) on 40 users"),
        (False, [], False, r"left out, not better beyond chance: NDCG@10 \+0\.0100.*cross_encoder=always"),
        (False, ["cross_encoder=always"], True, "published"),
        (True, ["cross_encoder=never"], False, "cross_encoder=never"),
    ],
)
def test_a_cross_encoder_is_published_where_it_is_better_than_recall(
    config, tiny_run, tmp_path, better, overrides, published, why
):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    marks = json.loads((run / CROSS_ENCODER / "run.json").read_text())
    interval = {"mean": 0.01, "low": 0.002, "high": 0.018, "error": 0.004}
    found = {"cases": 40, "before": 0.1, "after": 0.11, **interval}
    marks["result"] |= {"better": better, "users": found, "queries": None}
    (run / CROSS_ENCODER / "run.json").write_text(json.dumps(marks))
    result = build(config(f"run={run}", *overrides))
    assert (result.path / "cross_encoder").is_dir() == published
    assert ("cross_encoder" in Bundle.load(result.path).manifest.fingerprints) == published
    report = json.loads((result.path / "report.json").read_text())["cross_encoder"]
    assert report["published"] == published
    assert re.search(why, report["why"])


def test_what_the_cross_encoder_is_shown_of_items_is_made_at_build_and_for_live_items(config, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    cross_encoder = CrossEncoder.load(run / CROSS_ENCODER)
    cross_encoder.input_template = InputTemplate("{title}, {category}, {price}", context_items=2, event_types=True)
    cross_encoder.save(run / CROSS_ENCODER)
    (run / CROSS_ENCODER / "fold-0").mkdir()
    bundle = build(config(f"run={run}", "cross_encoder=always")).path
    assert not (bundle / "cross_encoder" / "fold-0").exists()
    live = LiveBundle.load(bundle)
    row = live.bundle.row_of["te-0"]
    assert live.bundle.texts[np.array([row])].tolist() == ["green tea, tea, 1.5"]
    live.upsert([{"item_id": "new", "title": "white tea", "text": "a tea", "category": "tea", "price": 3.0}])
    assert live.view.texts[np.array([row, live.view.row_of["new"]])].tolist() == [
        "green tea, tea, 1.5", "white tea, tea, 3.0",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "\udcff"])
def test_a_run_that_is_not_whole_is_refused(config, tmp_path, content):
    run = tmp_path / "run"
    run.mkdir()
    if content is not None:
        (run / "run.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError, match=r"run\.json.*towers\.train"):
        build(config(f"run={run}"))


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("index.exact_bellow=3", "exact_bellow"),
        ("index.exact_below=few", "exact_below"),
        ("recall_floor=1.5", "recall_floor"),
        ("threads=0", "threads"),
        ("seed=x", "seed"),
        ("index=hnsw", "hnsw"),
        ("data=/nowhere", "/nowhere"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(config, override, named):
    with pytest.raises(UsageError, match=named):
        build(config(override))


def test_a_second_build_exits_3_and_names_the_first(command, tmp_path):
    with building(tmp_path / "bundles", "index.build run=the-first"):
        result = command()
    assert result.returncode == 3
    assert f"'index.build run=the-first', pid {os.getpid()}" in result.stderr
    assert "Traceback" not in result.stderr


def test_recall_below_the_floor_exits_1_and_publishes_nothing(config, tmp_path, monkeypatch):
    from index.calibration import calibration

    monkeypatch.setattr(calibration, "recall_against", lambda *_: 0.93)
    with pytest.raises(GateFailed, match=r"index recall@30 is 0\.9300, below recall_floor=0\.95"):
        build(config())
    assert published(tmp_path / "bundles") == []


def test_vectors_with_nan_exit_1_and_name_the_items(config, tiny_data, tmp_path, monkeypatch):
    whole = OneVectorModel.item_vectors

    def broken(self, items):
        vectors = whole(self, items)
        vectors[3, 0] = np.nan
        return vectors

    monkeypatch.setattr(OneVectorModel, "item_vectors", broken)
    item_id = Dataset.open(tiny_data).items["item_id"].iloc[3]
    with pytest.raises(GateFailed, match=rf"1 of 30 items have a vector with NaN or infinity: {item_id};"):
        build(config())
    assert published(tmp_path / "bundles") == []


@pytest.mark.parametrize("broken", ["text", "item_id"])
def test_items_that_cannot_be_served_exit_1_and_are_named(config, monkeypatch, broken):
    items = Dataset.items.func

    def spoilt(self):
        table: pd.DataFrame = items(self)
        table[broken] = table[broken].astype(object)
        table.loc[4, broken] = "" if broken == "text" else table.loc[5, broken]
        return table

    monkeypatch.setattr(Dataset, "items", property(spoilt))
    with pytest.raises(GateFailed, match="of 30 items"):
        build(config())


def test_a_bundle_that_does_not_answer_as_its_index_is_not_published(config, tmp_path, monkeypatch):
    from index.bundle import parts

    whole = parts.save_vectors
    monkeypatch.setattr(parts, "save_vectors", lambda path, vectors: whole(path, vectors[::-1].copy()))
    with pytest.raises(GateFailed, match="does not answer as the index it was written from"):
        build(config())
    assert published(tmp_path / "bundles") == []
    assert not list((tmp_path / "bundles").glob(".*.tmp-*"))


def test_too_little_room_is_refused_before_anything_is_computed(config, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    monkeypatch.setattr(OneVectorModel, "item_vectors", lambda *_: pytest.fail("computed before the check"))
    with pytest.raises(GateFailed, match=r"needs .* MB, 1\.0 MB free"):
        build(config())


@pytest.fixture(scope="module")
def run_of_two_lengths(tiny_train_overrides, artifacts):
    run = artifacts / "runs" / "two lengths"
    train(load_config(TrainConfig, "train", [*tiny_train_overrides, "loss.dims=[12]", "trainer.epochs=1"]), run)
    return run


def test_a_model_trained_to_be_cut_is_built_short_and_answers_by_the_short_vectors(
    config, run_of_two_lengths, tiny_data
):
    result = build(config(f"run={run_of_two_lengths}", "dim=12"))
    bundle = Bundle.load(result.path)
    model = OneVectorModel.open(run_of_two_lengths)
    blocks = model.dim - model.towers.dim
    assert bundle.vectors.shape[1] == result.dim == 12 + blocks

    items = Dataset.open(tiny_data).items
    whole = model.item_vectors(items)
    histories, queries = [bundle.histories.at(place) for place in range(5)], ["", "tea", "", "", "bread"]
    users = model.user_encoder(items, whole).encode(histories, queries)
    prior = model.towers.users.prior

    def short(vectors):
        tower = truncate(torch.from_numpy(vectors[:, : model.towers.dim]), 12, prior).numpy()
        return np.concatenate([tower, vectors[:, model.towers.dim :]], axis=1)

    found = bundle.user_encoder.encode(histories, queries) @ bundle.vectors.T
    np.testing.assert_allclose(found, short(users) @ short(whole).T, atol=1e-4)


def test_a_length_that_the_run_was_not_trained_for_is_refused(config, run_of_two_lengths):
    with pytest.raises(UsageError, match=r"dim: .* was not trained to be cut to 9, but to one of \[12\]"):
        build(config(f"run={run_of_two_lengths}", "dim=9"))
    with pytest.raises(UsageError, match=r"dim: .*loss\.dims"):
        build(config("dim=9"))
