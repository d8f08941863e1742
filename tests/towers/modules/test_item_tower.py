"""The item tower: its parts, its first values, and text alone."""

import numpy as np
import pytest
import torch

from tests.towers.modules.test_user_tower import user_tower
from towers.modules.item_tower import NO_ID, ItemTower, ItemTowerSettings

DIM = 16


def test_an_item_without_id_has_the_vector_of_its_text_alone():
    torch.manual_seed(0)
    tower = ItemTower(ItemTowerSettings(text_dim=8, dim=DIM, num_ids=5, num_priors=None, id_dropout=0.5)).eval()
    text = torch.randn(2, 8)
    found = tower(text, torch.tensor([NO_ID, 3]))
    torch.testing.assert_close(found[0], torch.nn.functional.normalize(tower.project(text[0]), dim=0))
    assert not torch.allclose(found[1], torch.nn.functional.normalize(tower.project(text[1]), dim=0))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_a_user_of_whom_nothing_is_known_gets_items_by_popularity_before_any_training():
    torch.manual_seed(0)
    items = ItemTower(ItemTowerSettings(text_dim=8, dim=DIM, num_ids=4, num_priors=4))
    items.start_from_popularity(torch.tensor([8.0, 0.0, 2.0, 4.0]), temperature=0.5)
    found = items(torch.randn(5, 8), torch.tensor([0, 1, 2, 3, NO_ID]))
    torch.testing.assert_close(found[:, :-1].norm(dim=1), torch.ones(5))
    # log 8, log 2, log 4 about their mean log 4, halved; what has no events gets the average.
    torch.testing.assert_close(found[:, -1] / np.log(2), torch.tensor([0.5, 0.0, -0.5, 0.0, 0.0]))
    user = user_tower(prior=True)(torch.zeros(1, 0, DIM), *(torch.zeros(1, 0, dtype=torch.int64),) * 2)
    assert user.shape == (1, 1, DIM)
    assert user[0, 0, -1] == 1


def test_id_dropout_leaves_out_about_its_share_in_training_and_nothing_after():
    torch.manual_seed(0)
    tower = ItemTower(ItemTowerSettings(text_dim=8, dim=DIM, num_ids=1, num_priors=None, id_dropout=0.3))
    text, ids = torch.zeros(4000, 8), torch.zeros(4000, dtype=torch.int64)
    tower.project.bias.data.normal_()
    alone = torch.nn.functional.normalize(tower.project.bias, dim=0)
    left_out = torch.isclose(tower(text, ids), alone).all(dim=1).float().mean()
    assert left_out.item() == pytest.approx(0.3, abs=0.03)
    assert not torch.isclose(tower.eval()(text, ids), alone).all(dim=1).any()


@pytest.mark.parametrize(("text_dim", "dim"), [(12, 6), (4, 9)])
def test_texts_projected_on_their_directions_keep_what_the_encoder_says(text_dim: int, dim: int):
    rng = np.random.default_rng(0)
    raw = (rng.normal(size=(60, text_dim)) * np.arange(1, text_dim + 1)).astype(np.float32)
    items = ItemTower(ItemTowerSettings(text_dim, dim, num_ids=0, num_priors=None))
    items.whitening.fit(raw)
    text = items.whitening(torch.from_numpy(raw))
    lengths = items.project(text).norm(dim=1).mean()
    items.start_from_directions()
    kept = min(text_dim, dim)
    vectors = items.eval()(text, torch.full((60,), NO_ID))
    leading = torch.nn.functional.normalize(text[:, text_dim - kept :], dim=1)
    torch.testing.assert_close(vectors @ vectors.T, leading @ leading.T)
    assert vectors[:, kept:].eq(0).all()
    torch.testing.assert_close(vectors[:, 0], leading[:, -1])  # most variance first
    assert items.project(text).norm(dim=1).mean().item() == pytest.approx(lengths.item(), rel=0.25)
