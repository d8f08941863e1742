"""What a reranker teaches the towers: a step, what is read of whom, the whole way by the command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.columns import Split
from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from data_prep.prepare import PrepareConfig
from data_prep.prepare import prepare as prepare_data
from tests.tiny import RERANK_OVERRIDES, TRAIN_OVERRIDES
from towers import CrossEncoder, distillation
from towers.candidate_groups import Group
from towers.config import TrainConfig
from towers.distillation import teach
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.judged import JudgedQueries
from towers.judged_use import judged_to_judge_by
from towers.reranker_config import RerankConfig
from towers.tokens import PADDING
from towers.train import TrainResult, train
from towers.train_reranker import train_reranker
from towers.training import Phase, prepare

ROOT = Path(__file__).parents[2]


def settings(overrides: list[str], run: Path, *more: str) -> TrainConfig:
    """One epoch taught by the reranker of a run."""
    taught = [f"distillation.reranker={run / 'reranker'}", "distillation.events=60", "trainer.epochs=1", "blocks=none"]
    return load_config(TrainConfig, "train", [*overrides, *taught, *more])


STILL = [f"tower.{name}=0" for name in ("id_dropout", "dropout", "input_dropout")]


@torch.no_grad()
def test_a_step_costs_the_towers_own_loss_and_that_of_the_lessons(tiny_train_overrides, tiny_run: Path):
    config = settings(tiny_train_overrides, tiny_run, *STILL, "distillation.weight=0.3", "distillation.items=20")
    dataset = Dataset.open(config.data)
    material, batches, retriever = prepare(config, dataset, Phase(config.artifacts, Split.VALID, None))
    retriever.train()
    retriever.negatives.start_epoch(0)
    batch = next(iter(batches))
    taught = float(retriever.training_step(batch, 0))
    retriever.teaching = None
    own = float(retriever.training_step(batch, 0))
    lessons, temperature, losses = batch.lessons, float(retriever.temperature), []
    assert lessons is not None and len(lessons) == config.distillation.per_batch
    for number, mask in enumerate(lessons.groups.mask):
        length = int(lessons.tokens.lengths[number])
        rows = lessons.tokens.rows[number, :length]
        read = retriever.items.in_history(retriever.vectors(rows), retriever._id_rows(rows)).unsqueeze(0)
        signals = [part[number : number + 1, :length] for part in (lessons.tokens.events, lessons.tokens.gaps)]
        user = retriever.users(read, *signals)[0, -1]
        candidates, teacher = lessons.groups.rows[number][mask], lessons.groups.teacher[number][mask].tolist()
        scores = [float(user @ item) / temperature for item in retriever.vectors(candidates)]
        grades = lessons.groups.grades[number][mask].tolist()
        pairs = [(i, j) for i in range(len(scores)) for j in range(len(scores)) if grades[i] > grades[j]]
        assert pairs
        losses.append(np.mean([((scores[i] - scores[j]) - (teacher[i] - teacher[j])) ** 2 for i, j in pairs]))
    assert taught - own == pytest.approx(0.3 * np.mean(losses), rel=1e-3)
    asked = [one for one in batches.lessons.lessons if one.query != PADDING]
    assert {material.texts[one.query] for one in asked} >= {
        one.group.context for one in asked if not len(one.history.rows)
    }


def gradients(overrides: list[str], run: Path, chunk: int) -> dict[str, torch.Tensor]:
    """Of a step with lessons that tunes the text encoder `chunk` texts at a time."""
    tuned = ["text=full", f"text.chunk_rows={chunk}", "distillation.per_batch=4", "distillation.weight=1"]
    config = settings(overrides, run, *STILL, *tuned)
    _, batches, retriever = prepare(config, Dataset.open(config.data), Phase(config.artifacts, Split.VALID, None))
    retriever.train()
    retriever.text.encoder.eval()  # no dropout
    retriever.negatives.start_epoch(0)
    retriever.training_step(next(iter(batches)), 0).backward()
    return {name: p.grad for name, p in retriever.named_parameters() if p.grad is not None}


def test_an_encoder_that_is_tuned_in_chunks_learns_the_same_of_lessons(tiny_train_overrides, tiny_run: Path):
    chunks, whole = (gradients(tiny_train_overrides, tiny_run, chunk) for chunk in (3, 1000))
    assert any(name.startswith("text.encoder") for name in chunks)
    assert chunks.keys() == whole.keys()
    for name, gradient in chunks.items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-4, rtol=1e-3)


def test_what_a_lesson_holds_is_what_the_first_run_found_and_the_reranker_said(tiny_train_overrides, tiny_run: Path):
    config = settings(tiny_train_overrides, tiny_run, "distillation.items=10")
    dataset = Dataset.open(config.data)
    _, batches, _ = prepare(config, dataset, Phase(config.artifacts, Split.VALID, None))
    reranker = CrossEncoder.load(tiny_run / "reranker")
    texts = reranker.rendering.items(dataset.items)
    assert batches.lessons is not None
    strangers = [one for one in batches.lessons.lessons if not len(one.history.rows)]
    assert {one.group.context for one in strangers} >= {"coffee", "tea", "bread", "pets", "paper"}  # what is derived
    assert len(batches.lessons.lessons) > 5 + 40
    for one in batches.lessons.lessons:
        group = one.group
        said = reranker.score(group.context, [texts[row] for row in group.rows], group.scores)
        np.testing.assert_allclose(group.teacher, said, atol=1e-4)
        assert (group.grades[: (group.grades > 0).sum()] == 1).all()
        assert not set(one.history.rows) & set(group.rows)


def test_an_interrupted_reading_goes_on_and_nothing_is_read_twice(tiny_run: Path, tmp_path: Path, monkeypatch):
    reranker, texts = CrossEncoder.load(tiny_run / "reranker"), [f"tea {n}" for n in range(30)]
    rng = np.random.default_rng(0)
    material = [
        Group(f"rye {n}", rng.permutation(30)[: 2 + n % 3], np.ones(2 + n % 3, np.float32), np.zeros(2 + n % 3, int))
        for n in range(20)
    ]
    whole = teach("r", reranker, material, texts, tmp_path / "whole")
    monkeypatch.setattr(distillation, "MOMENTS_AT_ONCE", 6)
    read, original = [], distillation.readings

    def counted(model: CrossEncoder, some: Any, texts: Any) -> Any:
        if len(read) == 2:
            read.append("interrupted")
            raise KeyboardInterrupt
        read.append([group.context for group in some])
        return original(model, some, texts)

    monkeypatch.setattr(distillation, "readings", counted)
    with pytest.raises(KeyboardInterrupt):
        teach("r", reranker, material, texts, tmp_path / "parts")
    resumed = teach("r", reranker, material, texts, tmp_path / "parts")
    read.remove("interrupted")
    assert [context for part in read for context in part] == [group.context for group in material]
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.teacher, other.teacher)  # bit for bit

    (first,) = (tmp_path / "parts").iterdir()
    kept = sorted(first.iterdir())
    assert len(kept) == 4
    kept[1].write_bytes(kept[1].read_bytes()[:100])
    read.clear()
    again = teach("r", reranker, material, texts, tmp_path / "parts")
    assert read == [[group.context for group in material[6:12]]]
    np.testing.assert_array_equal(again[7].teacher, whole[7].teacher)
    read.clear()
    for name, some, seen in (("s", material, texts), ("r", material[:6], texts), ("r", material, ["x", *texts[1:]])):
        read.clear()
        teach(name, reranker, some[:6], seen, tmp_path / "parts")
        assert read  # another reader, other groups or other texts: nothing of it is known


@pytest.fixture(scope="module")
def taught(tiny_train_overrides: list[str], tiny_run: Path, artifacts: Path) -> Path:
    """A run that the command trained with lessons."""
    config = settings(tiny_train_overrides, tiny_run)
    assert isinstance(train(config, artifacts / "runs" / "taught"), TrainResult)
    return artifacts / "runs" / "taught"


def test_the_command_teaches_and_the_run_says_by_whom(tiny_train_overrides, tiny_run: Path, taught: Path):
    more = [
        f"distillation.reranker={tiny_run / 'reranker'}",
        "distillation.events=60",
        "trainer.epochs=1",
        "blocks=none",
    ]
    command = [sys.executable, "-m", "towers.train", *tiny_train_overrides, *more, "run=by-command"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "lessons from" in done.stderr
    assert "validation figures flatter" in done.stderr
    better = json.loads((tiny_run / "reranker" / "run.json").read_text())["result"]["better"]
    assert ("it may have nothing to teach" in done.stderr) is not better
    by_command, by_call = (
        json.loads((taught.parent / name / "run.json").read_text()) for name in ("by-command", "taught")
    )
    assert by_command["fingerprint"] == by_call["fingerprint"]  # whether scores are cached changes nothing
    assert by_command["teacher"]["reranker"] == str(tiny_run / "reranker")
    assert by_command["teacher"]["judgements"] is False


def test_lessons_move_the_towers_and_more_weight_moves_them_otherwise(tiny_train_overrides, tiny_run, taught, tmp_path):
    found = {json.loads((taught / "run.json").read_text())["fingerprint"]}
    for number, more in enumerate((["distillation.weight=1"], ["distillation.reranker=null"])):
        found.add(train(settings(tiny_train_overrides, tiny_run, *more), tmp_path / str(number)).fingerprint)
    kl = settings(tiny_train_overrides, tiny_run, "rerank_loss@distillation.loss=kl")
    found.add(train(kl, tmp_path / "kl").fingerprint)
    assert len(found) == 4


def test_a_taught_run_is_judged_on_test_alone_and_teaches_no_reranker(taught: Path, tiny_data: Path):
    """Its reranker has learnt from validation users."""
    assert json.loads((taught / "run.json").read_text())["until"] == "test"
    few = ["evaluation.bootstrap_samples=20", "baselines=none"]
    line = [f"run={taught}", f"data={tiny_data}", *few]
    assert evaluate_run(load_config(EvaluateConfig, "evaluate", line))["users"] > 0
    with pytest.raises(UsageError, match="was trained on the valid events; leave held_out=test"):
        evaluate_run(load_config(EvaluateConfig, "evaluate", [*line, "held_out=valid"]))
    with pytest.raises(UsageError, match="taught by a reranker that has learnt from validation users"):
        train_reranker(load_config(RerankConfig, "rerank", [f"run={taught}", f"data={tiny_data}"]))


def test_a_taught_training_that_was_interrupted_ends_where_another_does(tiny_train_overrides, tiny_run, tmp_path):
    two = settings(tiny_train_overrides, tiny_run, "trainer.epochs=2", "distillation.events=20")
    whole = train(two, tmp_path / "run")
    for name in ("run.json", "model.safetensors"):
        (tmp_path / "run" / name).unlink()
    sorted((tmp_path / "run" / "checkpoints").glob("epoch-*.ckpt"))[-1].unlink()
    resume = settings(tiny_train_overrides, tiny_run, "trainer.epochs=2", "distillation.events=20", "resume=true")
    assert train(resume, tmp_path / "run").fingerprint == whole.fingerprint


@pytest.fixture
def first(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the first run that may be spoilt."""
    return shutil.copytree(tiny_run, tmp_path / "first", ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))


def refused(overrides: list[str], run: Path, *more: str) -> str:
    config = settings(overrides, run, *more)
    with pytest.raises(UsageError) as error:
        train(config, run.parent / "refused")
    return str(error.value)


def test_what_is_no_reranker_of_that_run_is_refused(tiny_train_overrides, first: Path, tmp_path: Path):
    marks = first / "reranker" / "run.json"
    told = json.loads(marks.read_text())
    marks.write_text(json.dumps(told | {"towers_fingerprint": "0123"}))
    assert "is no reranker of the towers in" in refused(tiny_train_overrides, first)
    marks.unlink()
    assert "no trained reranker in" in refused(tiny_train_overrides, first)
    assert "no reranker of the towers" in refused(tiny_train_overrides, first, f"distillation.reranker={first}")
    alone = shutil.move(first / "reranker", tmp_path / "reranker")
    marks = Path(alone) / "run.json"
    marks.write_text(json.dumps(told))
    assert "is no reranker of the towers in" in refused(tiny_train_overrides, first, f"distillation.reranker={alone}")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"dataset_fingerprint": "0123"}, "was trained on data 0123"),
        ({"protocol": "leave_one_out"}, "trained with protocol=leave_one_out, this one is to be with"),
        ({"cold_share": 0.5}, "trained with cold_share=0.5"),
    ],
)
def test_a_reranker_of_other_data_or_another_split_is_refused(tiny_train_overrides, first: Path, changed, named):
    run = json.loads((first / "run.json").read_text())
    run |= {name: value for name, value in changed.items() if name in run}
    run["config"] |= {name: value for name, value in changed.items() if name not in run}
    (first / "run.json").write_text(json.dumps(run))
    assert named in refused(tiny_train_overrides, first)


def test_a_loss_without_a_teacher_and_lessons_of_nothing_are_refused(tiny_train_overrides, tiny_run: Path, tmp_path):
    deaf = settings(tiny_train_overrides, tiny_run, "rerank_loss@distillation.loss=softmax", "distillation.events=5")
    with pytest.raises(UsageError, match="Softmax does not learn from a teacher"):
        train(deaf, tmp_path / "deaf")
    nothing = settings(tiny_train_overrides, tiny_run, "distillation.events=0")
    with pytest.raises(GateFailed, match=r"0 moments gave nothing to learn; raise distillation\.events"):
        train(nothing, tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"distillation\.per_batch must be at least 1, not 0"):
        settings(tiny_train_overrides, tiny_run, "distillation.per_batch=0")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, tiny_logs: tuple[Path, Path], tiny_encoder: Path) -> list[str]:
    """Overrides of a training on the tiny shop's catalogue alone, with eight judged queries and a taught first run."""
    folder, items = tmp_path_factory.mktemp("judged"), tiny_logs[1]
    table = pd.read_csv(items)
    rows = [
        (f"{group} {word}", sku, 2 if group == own else 0)
        for group in ("coffee", "tea", "bread", "pets")
        for word in ("shop", "deal")
        for sku, own in zip(table["sku"], table["group"], strict=True)
    ]
    pd.DataFrame(rows, columns=["query", "item_id", "grade"]).to_csv(folder / "judged.csv", index=False)
    source = [f"source.items={items}", "source.events=null", f"source.judgements={folder / 'judged.csv'}"]
    columns = ["source.item_columns={item_id: sku, title: name, category: group}"]
    line = ["source=tabular", *source, *columns, f"artifacts={folder}", "name=judged"]
    data = prepare_data(load_config(PrepareConfig, "prepare", line)).path
    overrides = [f"data={data}", f"artifacts={folder}", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES]
    overrides += ["blocks=none", "queries.alone=1", "judgements.folds=2", "trainer.epochs=1"]
    first = folder / "runs" / "first"
    train(load_config(TrainConfig, "train", [*overrides, "judgements.rate=0"]), first)
    reranker = [f"run={first}", f"data={data}", f"model.folder={tiny_encoder.parent / 'bert'}", *RERANK_OVERRIDES]
    folds = ["judged.folds=2", "judged.keep_folds=true", "mining.item_queries=5"]
    train_reranker(load_config(RerankConfig, "rerank", [*reranker, *folds]))
    return [*overrides, f"distillation.reranker={first / 'reranker'}", "distillation.items=5"]


def test_queries_that_judge_the_towers_have_not_taught_their_teacher(judged: list[str], tmp_path: Path):
    dataset = Dataset.open(load_config(TrainConfig, "train", judged).data)
    everything = set(JudgedQueries.of(dataset).queries)
    for fold in range(2):
        config = load_config(TrainConfig, "train", [*judged, f"judgements.held_out={fold}"])
        result = train(config, tmp_path / f"held-out-{fold}")
        run = json.loads((result.run / "run.json").read_text())
        assert run["teacher"]["reranker"].endswith(f"/reranker/fold-{fold}")
        assert run["until"] == "valid"  # there are no validation users that the reranker could have learnt from
        own = judged_to_judge_by(run, dataset)
        _, batches, _ = prepare(config, dataset, Phase(tmp_path, Split.VALID, None))
        asked = {one.group.context for one in batches.lessons.lessons}
        assert asked & everything == everything - set(own.queries)
        assert len(own) == 4


def test_a_run_whose_teacher_learnt_from_all_judged_queries_is_judged_by_none(judged: list[str], tmp_path: Path):
    dataset = Dataset.open(load_config(TrainConfig, "train", judged).data)
    result = train(load_config(TrainConfig, "train", [*judged, "judgements.rate=0"]), tmp_path / "run")
    run = json.loads((result.run / "run.json").read_text())
    assert run["teacher"]["judgements"] is True
    assert judged_to_judge_by(run, dataset) is None
    _, batches, _ = prepare(
        load_config(TrainConfig, "train", [*judged, "judgements.rate=0"]), dataset, Phase(tmp_path, Split.VALID, None)
    )
    asked = {one.group.context for one in batches.lessons.lessons}
    assert not asked & set(JudgedQueries.of(dataset).queries)  # rate 0: they are not learnt from


@pytest.mark.parametrize("other", ["judgements.folds=4", "seed=1"])
def test_a_teacher_that_learnt_from_the_held_out_queries_is_refused(judged: list[str], tmp_path: Path, other: str):
    with pytest.raises(UsageError, match=r"has learnt from queries of fold 0; train it for a run with"):
        train(load_config(TrainConfig, "train", [*judged, "judgements.held_out=0", other]), tmp_path / "run")


def test_a_first_run_that_learnt_from_the_held_out_queries_is_refused(judged: list[str], tmp_path: Path):
    named = next(o for o in judged if o.startswith("distillation.reranker="))
    first = shutil.copytree(Path(named.partition("=")[2]).parent, tmp_path / "first")
    run = json.loads((first / "run.json").read_text())
    run["config"]["judgements"]["rate"] = 1.0
    (first / "run.json").write_text(json.dumps(run))
    more = [f"distillation.reranker={first / 'reranker'}", "judgements.held_out=1"]
    with pytest.raises(UsageError, match=r"the run of distillation\.reranker has learnt from queries of fold 1"):
        train(load_config(TrainConfig, "train", [*judged, *more]), tmp_path / "run")
