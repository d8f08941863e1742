"""What id embeddings start from."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from data_prep.command import instantiate, load_config
from towers.baselines.cooccurrence import PairWeights, factors
from towers.events.interactions import Interactions
from towers.model.trained_towers import TrainedTowers
from towers.modules.item_tower import ItemTower, ItemTowerSettings
from towers.text.row_features import ItemText
from towers.train import train
from towers.training.config import TrainConfig
from towers.training.id_init import CooccurrenceStart, NormalStart, TextStart


class KnownText(ItemText):
    """Text features as they are given."""

    tuned = False

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, rows: Tensor) -> Tensor:
        return self.features[rows]


def shop() -> Interactions:
    """Ten shoppers: half go from item 0 to item 1, half from 2 to 3; nobody touches item 4."""
    rows = np.array([0, 1] * 5 + [2, 3] * 5)
    return Interactions(np.arange(0, 21, 2), rows, np.arange(20.0), 5)


TEXT = KnownText(torch.arange(15.0).view(5, 3))


def test_fresh_ids_are_brought_to_the_scale_asked_for():
    tower = ItemTower(ItemTowerSettings(text_dim=3, dim=2, num_ids=3, num_priors=None))
    tower.start_ids(torch.tensor([[3.0, 4], [0, 0], [0, 1]]), scale=0.6)
    torch.testing.assert_close(tower.ids.weight.data, torch.tensor([[0.6, 0.8], [0, 0], [0, 0.2]]))
    tower.start_ids(torch.zeros(3, 2), scale=0.6)
    assert (tower.ids.weight == 0).all()


def test_noise_differs_from_item_to_item():
    torch.manual_seed(0)
    found = NormalStart().vectors(TEXT, shop(), 400, seed=0)
    assert found.shape == (5, 400)
    torch.testing.assert_close(torch.corrcoef(found), torch.eye(5), atol=0.2, rtol=0)


def test_text_starts_from_its_main_directions_which_whitening_puts_last():
    assert TextStart().vectors(TEXT, shop(), 2, seed=0).tolist() == [[1, 2], [4, 5], [7, 8], [10, 11], [13, 14]]
    assert TextStart().vectors(TEXT, shop(), 4, seed=0)[1].tolist() == [3, 4, 5, 0]


def test_items_that_follow_one_another_start_alike():
    start = instantiate(load_config(TrainConfig, "train", ["id_init=cooccurrence"]).id_init)
    assert isinstance(start, CooccurrenceStart)
    found = torch.nn.functional.normalize(start.vectors(TEXT, shop(), 6, seed=0), dim=1)
    assert found.shape == (5, 6)
    likeness = found @ found.T
    # Within a pair 1 forth and a half back, each damped by popularity alike: M = [[0, 1], [1/2, 0]] up to a factor,
    # source + target = ([1, 0] + [0, √½], [0, √½] + [1, 0]), so the two point the same way.
    torch.testing.assert_close(likeness[[0, 2], [1, 3]], torch.ones(2))
    torch.testing.assert_close(likeness[:2, 2:4], torch.zeros(2, 2), atol=1e-5, rtol=0)
    assert (found[4] == 0).all()


def test_the_sum_of_factors_is_what_an_item_starts_from():
    start = CooccurrenceStart(PairWeights(max_gap=1, gap_exponent=0, backward=0, source_exponent=0, target_exponent=0))
    pairs = np.zeros((5, 5), np.float32)
    pairs[0, 1] = pairs[2, 3] = 5
    source, target = factors(sp.csr_array(pairs), 3, 0)
    np.testing.assert_allclose(start.vectors(TEXT, shop(), 3, seed=0), source + target, atol=1e-6)


@pytest.mark.parametrize("start", ["text", "cooccurrence"])
def test_towers_train_from_either_start(start: str, tiny_train_overrides, tmp_path: Path):
    more = [f"id_init={start}", "trainer.epochs=1"]
    result = train(load_config(TrainConfig, "train", [*tiny_train_overrides, *more]), tmp_path / "run")
    assert result.metrics["recall@10"] > 0
    assert TrainedTowers.open(tmp_path / "run").items.ids.weight.shape == (30, 31)
