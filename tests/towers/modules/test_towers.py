"""The two towers and the features under them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.errors import UsageError
from towers.modules.item_tower import NO_ID, ItemTower, ItemTowerSettings
from towers.modules.layers import BLOCKS, POSITIONS, RelativeBias
from towers.modules.tokens import SequenceTokens
from towers.modules.user_tower import UserTower, UserTowerSettings
from towers.text.whitening import Whitening

DIM = 16


def user_tower(**changes) -> UserTower:
    torch.manual_seed(0)
    settings = UserTowerSettings(
        dim=DIM,
        max_history=6,
        layers=2,
        heads=2,
        feed_forward=2,
        dropout=0.2,
        input_dropout=0.2,
        window=3,
        prior=False,
        average=False,
        block="pre_norm",
        positions="relative",
        interests=1,
        event_types=4,
        attributes={},
        attribute_dropout=0.0,
    )
    return UserTower(replace(settings, **changes)).eval()


def a_batch(length: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(3, length, DIM), dim=2)
    return vectors, torch.randint(0, 4, (3, length)), torch.randint(0, 9, (3, length))


def test_a_position_knows_nothing_of_what_comes_after_it():
    tower = user_tower()
    vectors, events, gaps = a_batch()
    before = tower(vectors, events, gaps)
    vectors[:, 3:], events[:, 3:], gaps[:, 3:] = 0.5, 1, 2
    after = tower(vectors, events, gaps)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_padding_does_not_change_a_users_vector():
    tower = user_tower()
    vectors, events, gaps = a_batch()
    short = SequenceTokens(torch.zeros(3, 4), events[:, :4], gaps[:, :4], torch.tensor([4, 4, 4]))
    padded = SequenceTokens(torch.zeros(3, 6), events, gaps, torch.tensor([4, 4, 4]))
    torch.testing.assert_close(tower.last(vectors[:, :4], short), tower.last(vectors, padded))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize(
    "changes", [{"layers": 0}, {"layers": 1}, {"layers": 2, "interests": 3, "prior": True, "average": True}]
)
def test_the_last_moment_alone_is_the_same_as_among_all(block, positions, changes):
    tower = user_tower(block=block, positions=positions, **changes)
    for part in tower.modules():
        if isinstance(part, RelativeBias):
            torch.nn.init.normal_(part.bias)
    vectors, events, gaps = a_batch()
    lengths = torch.tensor([6, 0, 3])
    users = tower(vectors, events, gaps)
    found = tower.last(vectors, SequenceTokens(torch.zeros(3, 6), events, gaps, lengths))
    torch.testing.assert_close(found, users[torch.arange(3), lengths])


def test_user_vectors_have_unit_length_and_an_empty_history_has_one():
    tower = user_tower()
    empty = SequenceTokens(
        torch.zeros(2, 0), *(torch.zeros(2, 0, dtype=torch.int64),) * 2, torch.zeros(2, dtype=torch.int64)
    )
    found = tower.last(torch.zeros(2, 0, DIM), empty)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(found[0], found[1])


def test_the_direct_path_alone_is_the_weighted_sum_of_the_newest_items():
    tower = user_tower(layers=0)
    tower.norm.weight.data.zero_()
    vectors, events, gaps = a_batch(4)
    found = tower(vectors, events, gaps)[:, 4]
    expected = vectors[:, 3] + 0.6 * vectors[:, 2] + 0.36 * vectors[:, 1]
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1))


def test_the_average_has_a_direct_path_of_its_own():
    tower = user_tower(layers=0, window=0, average=True)
    tower.norm.weight.data.zero_()
    vectors, events, gaps = a_batch(4)
    found = tower(vectors, events, gaps)[:, 4]
    expected = torch.nn.functional.normalize(tower.start, dim=0) + vectors.sum(dim=1)
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=1))


def test_what_comes_later_is_not_in_the_average():
    tower = user_tower(average=True)
    vectors, events, gaps = a_batch()
    before = tower(vectors, events, gaps)
    vectors[:, 3:] = 0.5
    torch.testing.assert_close(tower(vectors, events, gaps)[:, :4], before[:, :4])


def test_heads_that_do_not_divide_the_width_are_refused_by_name():
    with pytest.raises(UsageError, match=r"tower.dim: 15 .* tower.heads: 2"):
        user_tower(dim=15)


def test_an_item_without_id_has_the_vector_of_its_text_alone():
    torch.manual_seed(0)
    tower = ItemTower(ItemTowerSettings(text_dim=8, dim=DIM, num_ids=5, num_priors=None, id_dropout=0.5)).eval()
    text = torch.randn(2, 8)
    found = tower(text, torch.tensor([NO_ID, 3]))
    torch.testing.assert_close(found[0], torch.nn.functional.normalize(tower.project(text[0]), dim=0))
    assert not torch.allclose(found[1], torch.nn.functional.normalize(tower.project(text[1]), dim=0))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_a_stranger_gets_items_by_popularity_before_any_training():
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


def test_whitened_vectors_have_unit_covariance():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)) + 3).astype(np.float32)
    white = Whitening(6).fit(vectors)(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white, rowvar=False), np.eye(6), atol=1e-3)


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.8])
def test_whitening_by_part_takes_variances_to_the_rest_of_their_power(strength: float):
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(500, 4)) * [1, 2, 5, 0]).astype(np.float32)
    white = Whitening(4, strength).fit(vectors)(torch.from_numpy(vectors)).double().numpy()
    before, _ = np.linalg.eigh(np.cov(vectors.astype(np.float64), rowvar=False))
    after = np.cov(white, rowvar=False)
    np.testing.assert_allclose(after, np.diag(np.diag(after)), atol=1e-3)
    kept = np.where(before > 1e-3, np.abs(before), 0) ** (1 - strength) * (before > 1e-3)
    np.testing.assert_allclose(np.diag(after), kept * 3 / kept.sum(), rtol=1e-4, atol=1e-6)


def test_whitening_has_no_strength_beyond_one():
    with pytest.raises(UsageError, match=r"whitening must be within 0…1, not 1\.5"):
        Whitening(6, 1.5)


def test_whitening_drops_directions_the_catalogue_does_not_use():
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)  # four items span three directions
    white = Whitening(6).fit(vectors)(torch.randn(10, 6))
    assert torch.isfinite(white).all()
    assert np.linalg.matrix_rank(white.numpy(), tol=1e-3) == 3


def test_a_single_item_is_left_as_it_is():
    vector = torch.randn(1, 6)
    torch.testing.assert_close(Whitening(6).fit(vector.numpy())(vector), vector)


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
