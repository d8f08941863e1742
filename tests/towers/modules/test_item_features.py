"""What columns of the items table add to item vectors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from data_prep.command import load_config
from data_prep.dataset import Dataset
from data_prep.errors import UsageError
from data_prep.prepare import PrepareConfig, prepare
from tests.tiny import tabular_overrides
from towers.model.trained_towers import TrainedTowers
from towers.modules.item_features import (
    CategoryFeature,
    FeatureConfig,
    FeatureTable,
    ItemFeatures,
    PriceFeature,
    VectorFeature,
)
from towers.modules.item_tower import NO_ID, ItemTower, ItemTowerSettings
from towers.train import train
from towers.training.config import TrainConfig

WIDTH = 4


def catalogue() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": list("abcd"),
            "category": ["tea", None, "bread", "tea"],
            "price": [0.0, np.e**2 - 1, np.nan, -3.0],
            "picture": [np.array([1.0, 0, 0]), np.array([0, 2.0, 0]), None, np.array([0, 0, 3.0])],
        }
    )


def test_a_category_has_the_embedding_of_its_value_and_an_unknown_one_none():
    feature = CategoryFeature.fit("category", WIDTH, catalogue()["category"], 0.0)
    assert feature.settings.vocabulary == ["bread", "tea"]
    feature.embedding.weight.data[1:] = torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0]])
    found = feature(feature.read(pd.Series(["tea", "bread", "new", None, " tea ", ""])))
    expected = torch.zeros(6, WIDTH)
    expected[[0, 4], 1], expected[1, 0] = 2, 1
    torch.testing.assert_close(found, expected)


def test_whole_numbers_are_the_same_category_beside_missing_values():
    feature = CategoryFeature.fit("aisle", WIDTH, pd.Series([3, np.nan, 7]), 0.0)
    assert feature.read(pd.Series([7, 3])).tolist() == [[2], [1]]


def test_category_embeddings_are_left_out_at_random_in_training_alone():
    torch.manual_seed(0)
    feature = CategoryFeature.fit("category", WIDTH, pd.Series(["tea"]), 0.3)
    feature.embedding.weight.data[1] = 1
    codes = feature.read(pd.Series(["tea"] * 4000))
    assert (feature.train()(codes) == 0).all(dim=1).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert (feature.eval()(codes) == 1).all()


def test_prices_are_standardised_logarithms_with_a_flag_for_missing_ones():
    feature = PriceFeature.fit("price", WIDTH, catalogue()["price"])  # logs 0 and 2: mean 1, deviation 1
    found = feature.read(pd.Series([np.e - 1, np.e**3 - 1, np.nan, -3.0, np.inf]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0], [2, 0], [0, 1], [0, 1], [0, 1]]))
    feature.project.weight.data = torch.tensor([[1.0, 0], [0, 1], [0, 0], [1, 1]])
    torch.testing.assert_close(feature(found[1:3]), torch.tensor([[2.0, 0, 0, 2], [0, 1, 0, 1]]))
    only = PriceFeature.fit("price", WIDTH, pd.Series([5.0, 5.0]))
    assert only.read(pd.Series([5.0])).tolist() == [[0, 0]]


def test_given_vectors_are_whitened_and_gated_and_a_missing_one_adds_nothing():
    pictures = catalogue()["picture"]
    feature = VectorFeature.fit("picture", WIDTH, pictures)
    values = feature.read(pictures)
    there = values[[0, 1, 3]]
    torch.testing.assert_close(there.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    assert (values[2] == 0).all()
    torch.testing.assert_close(feature(there), 0.5 * there @ feature.project.weight.T)
    feature.gate.data.fill_(-50)
    torch.testing.assert_close(feature(there), torch.zeros(3, WIDTH))
    with pytest.raises(UsageError, match="picture: a vector of length 2, the model was trained on 3"):
        feature.read(pd.Series([np.zeros(2)]))


def test_the_sum_of_the_features_enters_the_item_vector_before_it_is_normalised():
    torch.manual_seed(0)
    config = FeatureConfig(["category"], True, ["picture"], 0.0)
    features = ItemFeatures.fit(config, catalogue(), WIDTH)
    features.features[0].embedding.weight.data[1:].normal_()
    tower = ItemTower(ItemTowerSettings(3, WIDTH, num_ids=0, num_priors=None), features).eval()
    table, text = FeatureTable(features, catalogue()), torch.randn(5, 3)
    rows, no_ids = torch.arange(5), torch.full((5,), NO_ID)
    parts = [f(f.read(catalogue()[f.column])) for f in features.features]
    expected = tower.project(text)
    expected[:4] += sum(parts)  # row 4 is a query
    torch.testing.assert_close(tower(text, no_ids, table(rows)), functional.normalize(expected, dim=1))
    torch.testing.assert_close(tower(text, no_ids), functional.normalize(tower.project(text), dim=1))


def test_no_columns_make_no_features_and_missing_ones_are_named():
    assert ItemFeatures.fit(FeatureConfig([], False, [], 0.0), catalogue(), WIDTH) is None
    assert FeatureTable(None, catalogue())(torch.arange(9)) == []
    for config, said in [
        (FeatureConfig(["brand"], False, [], 0.0), r"features\.categorical: .*no column 'brand'.*'category'"),
        (FeatureConfig([], False, ["sound"], 0.0), r"features\.vectors: .*no column 'sound'"),
        (FeatureConfig([], False, ["category"], 0.0), r"features\.vectors: category must hold vectors of one length"),
    ]:
        with pytest.raises(UsageError, match=said):
            ItemFeatures.fit(config, catalogue(), WIDTH)
    with pytest.raises(UsageError, match=r"features\.price: .*no column 'price'"):
        ItemFeatures.fit(FeatureConfig([], True, [], 0.0), catalogue().drop(columns="price"), WIDTH)


@pytest.fixture(scope="module")
def pictured_data(tmp_path_factory: pytest.TempPathFactory, tiny_logs: tuple[Path, Path]) -> Path:
    """The tiny shop with a vector for every item but the first, prepared by the real command."""
    folder = tmp_path_factory.mktemp("pictured")
    items = pd.read_csv(tiny_logs[1])
    pictures = np.random.default_rng(0).normal(size=(len(items), 5))
    items["picture"] = [None, *pictures[1:].tolist()]
    items.to_parquet(folder / "items.parquet")
    overrides = [*tabular_overrides(tiny_logs[0], folder / "items.parquet"), f"artifacts={folder}", "name=pictured"]
    return prepare(load_config(PrepareConfig, "prepare", overrides)).path


def test_a_run_keeps_what_its_features_need_for_another_catalogue(
    tiny_train_overrides, pictured_data: Path, tmp_path: Path
):
    overrides = [o for o in tiny_train_overrides if not o.startswith("data=")] + [f"data={pictured_data}"]
    asked = ["features.categorical=[category]", "features.price=true", "features.vectors=[picture]"]
    train(load_config(TrainConfig, "train", [*overrides, *asked]), tmp_path / "run")
    towers, items = TrainedTowers.open(tmp_path / "run"), Dataset.open(pictured_data).items
    vectors = towers.item_vectors(items)

    known = items.iloc[[5, 5, 5, 5]].reset_index(drop=True)
    known["category"] = ["tea", "coffee", "unheard of", None]  # it is a coffee
    known.loc[[0, 1], "item_id"] = ["new", "new too"]
    changed = towers.item_vectors(pd.concat([known, items.iloc[::-1]]))
    np.testing.assert_allclose(changed[4:], vectors[::-1], atol=1e-6)
    assert not np.allclose(changed[0], changed[1], atol=1e-3)  # the category alone
    np.testing.assert_allclose(changed[2], changed[3], atol=1e-6)  # unknown says as little as none
    cheaper = towers.item_vectors(items.assign(price=0.01, picture=None))
    assert not np.allclose(cheaper[1:], vectors[1:], atol=1e-3)

    with pytest.raises(UsageError, match="no column 'picture'"):
        towers.item_vectors(items.drop(columns="picture"))
    query_side = towers.user_encoder(vectors).query_tower
    assert query_side.features is None
