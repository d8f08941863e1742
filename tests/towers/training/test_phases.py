"""Training as a user runs it: sound vectors, the same result twice, resuming, refusing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data_prep.command import instantiate, load_config
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from tests import processes
from towers import History, ModelEncoder, OneVectorModel
from towers.fitting.checkpoints import CHECKPOINTS, whole_checkpoints
from towers.fitting.cost import CostMeter
from towers.metrics.judgements import Judgements
from towers.train import train
from towers.training.config import TrainConfig

ROOT = Path(__file__).parents[3]
LONG = ("trainer.epochs=2000", "trainer.patience=2000", "tokens_per_batch=16")
"""Minutes of training, so that a test can end it before it ends by itself."""


def config(overrides: list[str], *more: str) -> TrainConfig:
    return load_config(TrainConfig, "train", [*overrides, *more])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def test_the_towers_beat_chance_by_far_on_a_shop_with_something_to_learn(tiny_run: Path):
    figures = json.loads((tiny_run / "run.json").read_text())["validation"]
    assert figures["recall@10"] > 0.5  # 30 items, some 20 of them unseen by a user: chance is about a half of that


def test_training_draws_the_loss_conflicts_and_what_becomes_of_the_vectors(tiny_run: Path):
    drawn: dict[str, list[float]] = {}
    for file in sorted((tiny_run / "tensorboard").glob("events*")):
        curves = EventAccumulator(str(file)).Reload()
        for name in curves.Tags()["scalars"]:
            drawn.setdefault(name, []).extend(scalar.value for scalar in curves.Scalars(name))
    assert drawn["train/loss"][-1] < drawn["train/loss"][0]
    assert all(0 < share < 0.5 for share in drawn["train/conflicts"])  # users have some of one another's items
    assert all(0.01 <= temperature <= 1 for temperature in drawn["train/temperature"])
    assert all(strength > 0 for strength in drawn["train/strength"])
    assert all(abs(cosine) < 0.5 for cosine in drawn["items/mean_cosine"])  # no collapse
    assert all(1 < rank <= 33 for rank in drawn["items/effective_rank"]) and min(drawn["items/id_norm"]) > 0


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(tiny_train_overrides, tmp_path):
    short = [*tiny_train_overrides, "trainer.epochs=1"]
    first, second = (train(config(short), tmp_path / name).fingerprint for name in ("a", "b"))
    assert first == second
    assert train(config(short, "seed=1"), tmp_path / "c").fingerprint != first


def test_resuming_after_an_interruption_ends_where_an_uninterrupted_run_does(tiny_train_overrides, tmp_path):
    run = tmp_path / "run"
    whole = train(config(tiny_train_overrides), run)
    for name in ("run.json", "model.safetensors"):
        (run / name).unlink()
    newest = sorted((run / CHECKPOINTS).glob("epoch-*.ckpt"))
    assert len(newest) == 2
    last = torch.load(newest[-1], weights_only=True)["state_dict"]
    newest[-1].write_bytes(newest[-1].read_bytes()[:1000])  # as a crash of the machine may leave it

    with pytest.raises(UsageError, match=r"was begun with seed=0, not 1"):
        train(config(tiny_train_overrides, "resume=true", "seed=1"), run)
    resumed = train(config(tiny_train_overrides, "resume=true"), run)
    assert resumed.metrics == whole.metrics
    assert json.loads((run / "run.json").read_text())["cost"]["wall_seconds"] > 0
    assert resumed.fingerprint == whole.fingerprint
    again = torch.load(next(whole_checkpoints(run / CHECKPOINTS)), weights_only=True)
    assert again["epoch"] == 3  # its weights, as the run keeps the best epoch alone
    assert all(torch.equal(again["state_dict"][name], value) for name, value in last.items())


def test_a_torn_checkpoint_is_passed_over_for_the_one_before_it(tmp_path):
    torch.save({"epoch": 1}, tmp_path / "epoch-0001.ckpt")
    (tmp_path / "epoch-0002.ckpt").write_bytes(b"PK\x03\x04torn")
    assert [p.name for p in whole_checkpoints(tmp_path)] == ["epoch-0001.ckpt"]


def test_a_finished_run_is_not_overwritten(tiny_run: Path, tiny_train_overrides):
    with pytest.raises(UsageError, match="is finished"):
        train(config(tiny_train_overrides), tiny_run)


def test_resuming_a_finished_run_keeps_it_and_refuses_other_settings(tiny_run: Path, tiny_train_overrides):
    before = (tiny_run / "run.json").read_bytes()
    kept = train(config(tiny_train_overrides, "resume=true"), tiny_run)
    marks = json.loads(before)
    assert (kept.fingerprint, kept.metrics, kept.epochs) == (marks["fingerprint"], marks["validation"], marks["epochs"])
    assert (tiny_run / "run.json").read_bytes() == before
    with pytest.raises(UsageError, match="was begun with seed=0, not 1"):
        train(config(tiny_train_overrides, "resume=true", "seed=1"), tiny_run)
    with pytest.raises(UsageError, match=r"trainer\.epochs=4, not 9"):
        train(config(tiny_train_overrides, "resume=true", "trainer.epochs=9"), tiny_run)


def test_a_run_says_what_it_cost_and_how_sure_its_figures_are(tiny_run: Path):
    marks = json.loads((tiny_run / "run.json").read_text())
    assert marks["cost"]["wall_seconds"] > 0
    assert marks["cost"]["cpu_seconds"] > 0
    assert 50 < marks["cost"]["peak_memory_mb"] < 50_000
    assert 1 <= marks["best_epoch"] <= marks["epochs"] == 4
    assert marks["intervals"].keys() == marks["validation"].keys()
    assert all(low <= marks["validation"][name] <= high for name, (low, high) in marks["intervals"].items())


def test_judgements_are_read_once_in_a_training(
    tiny_train_overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    judged = pd.DataFrame({"query": ["tea", "bread"], "item_id": ["te-0", "br-0"], "grade": [2, 1]})
    monkeypatch.setattr(Dataset, "judgements", property(lambda dataset: judged))
    read: list[Dataset] = []
    of = Judgements.of
    monkeypatch.setattr(Judgements, "of", lambda dataset: read.append(dataset) or of(dataset))
    train(config([*tiny_train_overrides, "trainer.epochs=1"]), tmp_path)
    assert len(read) == 1


def test_the_cost_of_a_resumed_training_holds_what_was_spent_before():
    meter = CostMeter()
    meter.load_state_dict({"wall_seconds": 1000.0, "cpu_seconds": 2000.0, "peak_memory_mb": 1e6})
    spent = meter.spent()
    assert 1000 <= spent["wall_seconds"] < 1100
    assert 2000 <= spent["cpu_seconds"] < 2100
    assert spent["peak_memory_mb"] == 1e6


def test_an_unfinished_run_is_not_silently_begun_anew(tiny_train_overrides, tmp_path):
    (tmp_path / CHECKPOINTS).mkdir()
    torch.save({}, tmp_path / CHECKPOINTS / "epoch-0000.ckpt")
    with pytest.raises(UsageError, match="resume=true"):
        train(config(tiny_train_overrides), tmp_path)


def test_a_run_changed_after_training_is_refused(tiny_run: Path, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(UsageError, match="has changed since training"):
        OneVectorModel.open(copy)


def test_a_new_item_gets_a_vector_from_its_text_and_a_known_one_keeps_its_own(tiny_run: Path, tiny_data: Path):
    towers, items = OneVectorModel.open(tiny_run).towers, Dataset.open(tiny_data).items
    new = pd.concat([items.iloc[:1].assign(item_id="brand new"), items.iloc[::-1]])
    vectors, known = towers.item_vectors(new), towers.item_vectors(items)
    np.testing.assert_allclose(vectors[1:], known[::-1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :-1], axis=1), 1, atol=1e-5)
    assert vectors[0, -1] == 0  # the average prior
    assert vectors[0] @ known[0] > np.median(vectors[0] @ known.T)
    assert not np.allclose(vectors[0], known[0])


def test_the_encoder_saved_for_serving_answers_like_the_one_in_memory(tiny_run: Path, tiny_data: Path, tmp_path):
    model, items = OneVectorModel.open(tiny_run), Dataset.open(tiny_data).items
    assert [part.block.name for part in model.blocks]
    vectors, end = model.item_vectors(items), model.towers.dim
    model.user_encoder(items, vectors).save(tmp_path / "model")
    histories = [
        History(np.array([1, 4, 2]), ["view", "purchase", "?"], np.array([0.0, 60.0, np.nan])),
        History.empty(),
    ]
    for queries in (["", ""], ["green tea", ""], ["", "cat food"], ["rye", "bread"]):
        expected = model.user_encoder(items, vectors).encode(histories, queries)
        found = ModelEncoder.load(tmp_path / "model", vectors).encode(histories, queries)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert (found[:, end - 1] == 1).all()  # meets the items' prior
    with pytest.raises(UsageError, match=f"expected item vectors of dimension {model.dim}, got {model.dim - 1}"):
        ModelEncoder.load(tmp_path / "model", vectors[:, :-1])


def test_answers_of_a_batch_are_those_of_its_members_alone(tiny_run: Path, tiny_data: Path):
    model, items = OneVectorModel.open(tiny_run), Dataset.open(tiny_data).items
    users = model.user_encoder(items, model.item_vectors(items))
    rng = np.random.default_rng(0)
    histories = [History(rng.integers(0, 30, n), ["view"] * n, np.arange(n) * 1e5) for n in (0, 1, 5, 14)]
    queries = ["tea", "", "tea", "bread toast"]
    together = users.encode(histories, queries)
    for i, history in enumerate(histories):
        np.testing.assert_allclose(users.encode([history], [queries[i]])[0], together[i], atol=1e-5)


@pytest.mark.slow
def test_tuning_the_encoder_moves_its_weights_and_the_run_keeps_them(tiny_train_overrides, tiny_data, tmp_path):
    tuned = [*tiny_train_overrides, "text=full", "trainer.epochs=1", "tokens_per_batch=128"]
    train(config(tuned), tmp_path / "run")
    towers = OneVectorModel.open(tmp_path / "run").towers
    assert (tmp_path / "run" / "text_encoder" / "encoder.json").is_file()
    frozen = load_config(TrainConfig, "train", tiny_train_overrides).encoder
    before = instantiate(frozen).encode(["green tea"])
    assert not np.allclose(towers.text_encoder.encode(["green tea"]), before, atol=1e-6)
    assert towers.item_vectors(Dataset.open(tiny_data).items).shape == (30, 32)


@pytest.mark.slow
def test_a_killed_training_process_leaves_nothing_published_and_resumes(
    tiny_train_overrides, artifacts: Path, start_process
):
    arguments = command("towers.train", *tiny_train_overrides, "run=killed", *LONG)
    process = start_process(arguments, stderr=subprocess.PIPE)
    run = artifacts / "runs" / "killed"
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/epoch-*.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "run.json").exists()
    again = [*tiny_train_overrides, "run=killed", *LONG, "trainer.epochs=6", "resume=true"]
    done = processes.run(command("towers.train", *again), timeout=200)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stderr
    assert OneVectorModel.open(run).towers.dim == 32


@pytest.mark.slow
def test_ctrl_c_ends_training_with_130_and_says_how_to_go_on(tiny_train_overrides, artifacts: Path, start_process):
    arguments = command("towers.train", *tiny_train_overrides, "run=stopped", *LONG)
    process = start_process(arguments, stderr=subprocess.PIPE)
    run = artifacts / "runs" / "stopped"
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/epoch-*.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "resume=true" in said
    assert "Traceback" not in said


def test_wrong_settings_exit_with_2_and_name_the_key(tiny_train_overrides):
    for wrong, named in [
        ("tower.dims=3", "dims"),
        ("trainer.epochs=0", "trainer.epochs"),
        ("protocol=weekly", "weekly"),
    ]:
        done = processes.run(command("towers.train", *tiny_train_overrides, "run=wrong", wrong), timeout=120)
        assert done.returncode == 2, done.stderr
        assert named in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_sweep_runs_every_trial_and_ends_in_a_table_best_first(tiny_train_overrides, artifacts: Path):
    grid = ["-m", "tower.dim=16,32", "negatives=in_batch,uniform", "run=sweep", "trainer.epochs=1"]
    overrides = [o for o in tiny_train_overrides if not o.startswith(("tower.dim", "negatives", "trainer.epochs"))]
    done = processes.run(command("towers.train", *grid, *overrides), timeout=280)
    assert done.returncode == 0, done.stderr
    cells = [line.split("│")[1:6] for line in done.stdout.splitlines() if line.startswith("│")]
    assert sorted((dim.strip(), negatives.strip()) for _, dim, negatives, *_ in cells) == [
        ("16", "in_batch"), ("16", "uniform"), ("32", "in_batch"), ("32", "uniform"),
    ]  # fmt: skip
    reached = [float(ndcg) for *_, ndcg, _ in cells]
    assert reached == sorted(reached, reverse=True)
    for trial in range(4):
        assert (artifacts / "runs" / "sweep" / str(trial) / "run.json").is_file()
        assert "tower.dim" in (artifacts / "runs" / "sweep" / str(trial) / ".hydra" / "overrides.yaml").read_text()
