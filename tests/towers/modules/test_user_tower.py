"""The user tower: causal, padded, with direct paths."""

from dataclasses import replace

import pytest
import torch

from data_prep.errors import UsageError
from towers.modules.layers import BLOCKS, POSITIONS, RelativeBias
from towers.modules.tokens import SequenceTokens
from towers.modules.user_tower import UserTower, UserTowerSettings

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
def test_the_last_position_alone_is_the_same_as_among_all(block, positions, changes):
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
