"""A shop of Chinese goods that nobody has visited: prepared, trained on searches, judged by searches."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import GateFailed, UsageError
from data_prep.files import read_json
from data_prep.prepare import PrepareConfig, prepare
from index import Bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from tests.chinese_shop import ASKED, write
from tests.tiny import TRAIN_OVERRIDES
from towers.candidates import FunnelConfig, TrainedRun
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.evaluation import EvaluationReport
from towers.evaluation.report import ServedRow
from towers.events.history import History
from towers.metrics.judgements import Judgements
from towers.model.one_vector import OneVectorModel
from towers.ranking.config import RankerConfig
from towers.text.whitening import Whitening
from towers.train import train
from towers.train_funnel import train_funnel
from towers.train_ranker import mine
from towers.training.config import TrainConfig
from towers.tune import TuneConfig, tune

SEARCH = ["experiment=search", "queries.columns=[title]", "queries.max_words=4", "blocks=text", "trainer.epochs=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chinese")
    items, judged = write(folder)
    overrides = [
        "source=tabular",
        "source.events=null",
        f"source.items={items}",
        f"source.judgements={judged}",
        f"artifacts={folder}",
        "name=chinese",
    ]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


@pytest.fixture(scope="module")
def overrides(data: Path, tiny_encoder: Path) -> list[str]:
    return [f"data={data}", f"artifacts={data.parents[1]}", f"encoder.folder={tiny_encoder}", *TRAIN_OVERRIDES, *SEARCH]


@pytest.fixture(scope="module")
def run(data: Path, overrides: list[str]) -> Path:
    run = data.parents[1] / "runs" / "searched"
    train(load_config(TrainConfig, "train", [*overrides, "judgements.held_out=1", "run=searched"]), run)
    return run


@pytest.fixture(scope="module")
def report(run: Path, data: Path) -> EvaluationReport:
    return evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={data}"]))


def test_texts_that_are_searched_are_whitened_by_half(run: Path, data: Path) -> None:
    model, dataset = OneVectorModel.open(run), Dataset.open(data)
    vectors = model.towers.sentences.encode(dataset.items["text"].tolist())
    half = Whitening(vectors.shape[1], 0.5).fit(vectors).transform
    torch.testing.assert_close(model.towers.items.whitening.transform, half)
    assert read_json(run / "run.json")["config"]["blocks"]["text"]["whitening"] == 0.5


def test_only_queries_that_were_held_out_and_can_be_answered_are_judged(
    run: Path, data: Path, report: EvaluationReport
) -> None:
    held_out = Judgements.of(Dataset.open(data)).fold(5, 1, read_json(run / "run.json")["config"]["seed"])
    assert report.users == 0 and report.search is not None
    assert report.search.queries == len(held_out.answerable()) <= 2


def test_every_scorer_has_its_row_and_its_lines(run: Path, report: EvaluationReport) -> None:
    assert report.search is not None
    scorers = report.search.scorers
    assert {"two towers", "text similarity, whitened 0.5", "bm25, all fields", "tf-idf"} <= set(scorers)
    lines = pd.read_csv(run / "queries.csv", keep_default_na=False)
    assert set(lines["scorer"]) == set(scorers)
    assert set(lines["wording"]) == {"", "misspelt"}
    first = lines[lines["wording"] == ""].groupby("scorer")["ndcg@10"].mean()
    assert first.to_dict() == pytest.approx({name: row["ndcg@10"].mean for name, row in scorers.items()})


def test_words_of_chinese_find_what_was_asked_for(data: Path, overrides: list[str]) -> None:
    """A run that learnt from no judgement may be judged by all of them."""
    run = data.parents[1] / "runs" / "derived"
    train(load_config(TrainConfig, "train", [*overrides, "judgements.rate=0", "run=derived"]), run)
    search = evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={data}"])).search
    assert search is not None
    assert search.queries == len(ASKED) - 1
    assert search.scorers["bm25, all fields"]["ndcg@10"].mean > 0.9
    assert search.scorers["tf-idf"]["ndcg@10"].mean > 0.9
    assert search.reworded["misspelt"].lost["tf-idf"]["ndcg@10"].mean == 0  # nothing there to misspell


def test_words_answer_queries_of_a_shop_without_events_from_training_to_the_bundle(
    data: Path, overrides: list[str]
) -> None:
    """The funnel learns from the judged queries that were not held out, and is judged by those that were."""
    run = data.parents[1] / "runs" / "funnel"
    train(
        load_config(TrainConfig, "train", [*overrides, "judgements.rate=0", "judgements.held_out=1", "run=funnel"]), run
    )
    settings = [f"run={run}", f"data={data}", "threads=1", "queries.least=4", "certainty=0"]
    result = train_funnel(load_config(FunnelConfig, "funnel", settings))
    assert result.users is None and "too few" in result.left_out["users"]
    assert result.queries is not None
    assert (result.queries.source, result.queries.kept) == ("judged", ["bm25"])
    held_out = Judgements.of(Dataset.open(data)).fold(5, 1, read_json(run / "run.json")["config"]["seed"])
    evaluated = [f"run={run}", f"data={data}"]
    search = evaluate_run(load_config(EvaluateConfig, "evaluate", evaluated)).search
    assert search is not None
    assert search.queries == len(held_out.answerable())
    assert search.served == ServedRow("served: towers + bm25", "judged")
    assert search.scorers["served: towers + bm25"]["ndcg@10"].mean > 0.9
    built = build(load_config(BuildConfig, "build", [f"run={run}", f"data={data}", f"artifacts={data.parents[1]}"]))
    assert built.funnel == "the towers alone; for a query towers + bm25"
    funnel = Bundle.load(built.path).query_funnel
    assert funnel is not None and funnel.names == ["towers", "bm25"]


def test_a_funnel_that_learnt_from_every_judged_query_is_judged_by_none(data: Path, overrides: list[str]) -> None:
    run = data.parents[1] / "runs" / "all-judged"
    one = ["judgements.rate=0", "trainer.epochs=1", "run=all-judged"]
    train(load_config(TrainConfig, "train", [*overrides, *one]), run)
    settings = [f"run={run}", f"data={data}", "threads=1", "queries.least=4", "certainty=0"]
    train_funnel(load_config(FunnelConfig, "funnel", settings))
    search = evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={data}"])).search
    assert search is not None
    assert search.served is None and search.queries == len(ASKED) - 1
    assert not any(name.startswith("served") for name in search.scorers)
    assert recalled_by(run, data) == ["towers"]


def recalled_by(run: Path, data: Path) -> list[str]:
    """Channels that recall the candidates of judged queries for a cross-encoder."""
    config = load_config(RankerConfig, "train_ranker", [f"run={run}", "judgements.folds=2"])
    return mine(config, TrainedRun.of(run, Dataset.open(data))).recalled_by


def test_the_model_reads_widths_and_cases_alike(run: Path, data: Path) -> None:
    model, items = OneVectorModel.open(run), Dataset.open(data).items
    users = model.user_encoder(items, model.item_vectors(items))
    plain, wide = users.encode([History.empty()] * 2, ["usb扩展坞", "　ＵＳＢ扩展坞 "])
    np.testing.assert_array_equal(plain, wide)


def test_a_run_that_learnt_from_every_query_is_judged_by_none(data: Path, overrides: list[str]) -> None:
    run = data.parents[1] / "runs" / "everything"
    train(load_config(TrainConfig, "train", [*overrides, "queries.alone=0", "trainer.epochs=1", "run=everything"]), run)
    with pytest.raises(GateFailed, match="no judged queries that the run did not learn from"):
        evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", f"data={data}"]))


def test_a_shop_with_nothing_to_learn_from_is_refused_with_the_cure(data: Path, overrides: list[str]) -> None:
    nothing = [*overrides, "queries.alone=0", "judgements.rate=0", "run=nothing"]
    with pytest.raises(GateFailed, match=r"queries\.alone=1 makes a synthetic query of every item"):
        train(load_config(TrainConfig, "train", nothing), data.parents[1] / "runs" / "nothing")


def test_a_tuning_is_refused_where_no_figures_could_guide_it(overrides: list[str], tmp_path: Path):
    fixed = ",".join(f"'{one}'" for one in overrides if not one.startswith(("artifacts", "tower.dim")))
    space = "+space={tower.dim: {choices: [8, 16]}}"
    settings = [f"artifacts={tmp_path}", "name=s", f"overrides=[{fixed}]", "space=empty", space, "trials=1"]
    with pytest.raises(UsageError, match="has no validation events, so there are no figures to tune by"):
        tune(load_config(TuneConfig, "tune", settings))
    assert not (tmp_path / "tuning" / "s").exists()
