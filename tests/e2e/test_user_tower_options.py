"""A shop trained with every option of the user tower at once: from the user table to the answer for a known user."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.command import load_config
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from data_prep.prepare import PrepareConfig, prepare
from index import Bundle
from index.build.__main__ import build
from index.build.config import BuildConfig
from retrieval_server.api.requester import Requester
from retrieval_server.bundles.served_bundle import ServedBundle
from retrieval_server.pipeline.profile import resolve
from tests.tiny import CATEGORIES, USERS, tabular_overrides
from towers import History, ModelEncoder, OneVectorModel
from towers.evaluate import EvaluateConfig, evaluate_run
from towers.model.trained_towers import CONFIG
from towers.train import train
from towers.training.config import TrainConfig

OPTIONS = [
    "tower.block=ligr",
    "tower.positions=rotary",
    "tower.window=0",
    "tower.interests=2",
    "tower.attributes.columns=[club,town]",
]


@pytest.fixture(scope="module")
def data(tiny_logs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny shop, with what it knows of most of its customers: each favours the category of their club."""
    folder = tmp_path_factory.mktemp("club")
    clubs = [list(CATEGORIES)[user % len(CATEGORIES)] for user in range(USERS)]
    people = pd.DataFrame({"shopper": [f"u{user}" for user in range(USERS)], "club": clubs, "town": "Bree", "shoe": 42})
    people.iloc[::2].to_csv(folder / "users.csv", index=False)
    users = [f"source.users={folder / 'users.csv'}", "source.user_columns.user_id=shopper"]
    overrides = [*tabular_overrides(*tiny_logs), *users, f"artifacts={folder}", "name=club"]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


@pytest.fixture(scope="module")
def run(data: Path, tiny_train_overrides: list[str]) -> Path:
    run = data.parent / "run"
    overrides = [*tiny_train_overrides, f"data={data}", *OPTIONS, "trainer.epochs=2"]
    train(load_config(TrainConfig, "train", overrides), run)
    return run


@pytest.fixture(scope="module")
def bundle(run: Path, data: Path) -> Bundle:
    build(load_config(BuildConfig, "build", [f"run={run}", f"data={data}", f"artifacts={data.parent}"]))
    return Bundle.load(data.parent / "bundles" / "current")


def test_a_run_names_its_options_and_opens_with_them(run: Path) -> None:
    users = OneVectorModel.open(run).towers.users
    saved = read_json(run / CONFIG)["user_tower"]
    assert asdict(users.settings) == saved
    assert (saved["block"], saved["positions"], saved["interests"]) == ("ligr", "rotary", 2)
    assert saved["attributes"] == {"club": sorted(CATEGORIES), "town": ["Bree"]}


def test_the_evaluation_scores_the_whole_catalogue_by_the_better_interest(run: Path) -> None:
    report = evaluate_run(load_config(EvaluateConfig, "evaluate", [f"run={run}", "evaluation.cutoffs=[10]"]))
    assert 0 < report.scorers["two towers"].metrics["recall@10"].mean <= 1
    without_history = report.without_history
    assert without_history is not None
    newcomers = {name: figures["ndcg@10"].mean for name, figures in without_history.scorers.items()}
    assert newcomers["one vector, by attributes"] != newcomers["two towers"]


def test_a_known_user_is_answered_by_the_attributes_kept_in_the_bundle(run: Path, bundle: Bundle) -> None:
    served = ServedBundle.of(bundle)
    stored = bundle.history("u2")
    assert stored is not None and stored.attributes == {"club": "bread", "town": "Bree"}
    assert bundle.history("u1").attributes == {"club": "", "town": ""}

    profile = resolve(served, Requester(user_id="u2"))
    (vectors,) = served.user_encoder.encode([profile.history], [""])
    assert vectors.shape == (2, bundle.manifest.dim)
    assert (vectors[:, OneVectorModel.open(run).towers.dim - 1] == 1).all()  # meets the items' prior
    scores = (np.asarray(bundle.vectors) @ vectors.T).max(axis=1)
    scores[stored.rows] = -np.inf
    (found,) = served.index.search(vectors[None], 5, [profile.seen])
    np.testing.assert_allclose(found.scores, np.sort(scores)[::-1][:5], atol=1e-5)

    unnamed = resolve(served, Requester(item_ids=["co-0"])).history
    named = resolve(served, Requester(user_id="u2", item_ids=["co-0"])).history
    assert unnamed.attributes == {} and named.attributes == stored.attributes
    first, second = bundle.user_encoder.encode([unnamed, named], ["", ""])
    assert not np.allclose(first, second)


def test_saved_for_serving_the_options_answer_as_in_memory(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    encoder = OneVectorModel.open(run).user_encoder(bundle.items, np.asarray(bundle.vectors))
    encoder.save(tmp_path / "model")
    histories = [
        History(np.array([1, 4, 2]), ["view", "purchase", "?"], np.full(3, np.nan), {"club": "tea"}),
        History(np.zeros(0, np.int64), (), np.zeros(0), {"club": "pets", "town": "unheard of"}),
    ]
    expected = encoder.encode(histories, ["", "tea"])
    found = ModelEncoder.load(tmp_path / "model", np.asarray(bundle.vectors)).encode(histories, ["", "tea"])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_saved_model_can_name_no_class_but_ours(run: Path, bundle: Bundle, tmp_path: Path) -> None:
    OneVectorModel.open(run).user_encoder(bundle.items, bundle.vectors).save(tmp_path / "model")
    config = read_json(tmp_path / "model" / "config.json")
    write_json(
        tmp_path / "model" / "config.json", config | {"user_tower": config["user_tower"] | {"block": "os.system"}}
    )
    with pytest.raises(UsageError, match=r"tower.block: 'os.system' is none of pre_norm, ligr"):
        ModelEncoder.load(tmp_path / "model", np.asarray(bundle.vectors))
