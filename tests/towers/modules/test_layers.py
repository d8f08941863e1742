"""The blocks of the user tower: causal, blind to padding, and with positions that know distances."""

import itertools

import pytest
import torch
from torch.nn import functional

from data_prep.command import load_config
from data_prep.errors import UsageError
from towers.modules.layers import (
    BLOCKS,
    POSITIONS,
    GatedResidual,
    PreNormBlock,
    RelativeBias,
    Rotary,
    SwiGLU,
    make_blocks,
)
from towers.training.config import TrainConfig

DIM, LENGTH = 16, 7
KINDS = list(itertools.product(BLOCKS, POSITIONS))


def stack(block: str, positions: str) -> torch.nn.ModuleList:
    """Two blocks with random weights wherever they have any, positions included."""
    torch.manual_seed(0)
    sizes = {"dim": DIM, "heads": 2, "feed_forward": 2, "dropout": 0.2, "max_length": 20}
    blocks = make_blocks(block, 2, positions=positions, **sizes).eval()
    for part in blocks.modules():
        if isinstance(part, RelativeBias):
            torch.nn.init.normal_(part.bias)
    return blocks


def through(blocks: torch.nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        x = block(x)
    return x


@pytest.mark.parametrize(("block", "positions"), KINDS)
@pytest.mark.parametrize("changed", range(1, LENGTH))
def test_a_token_knows_nothing_of_what_comes_after_it(block, positions, changed):
    blocks, x = stack(block, positions), torch.randn(2, LENGTH, DIM)
    before = through(blocks, x)
    x[:, changed:] = torch.randn(2, LENGTH - changed, DIM)
    after = through(blocks, x)
    torch.testing.assert_close(before[:, :changed], after[:, :changed])
    assert not torch.isclose(before[:, changed:], after[:, changed:]).all(dim=2).any()


@pytest.mark.parametrize(("block", "positions"), KINDS)
def test_padding_on_the_right_changes_nothing(block, positions):
    blocks, x = stack(block, positions), torch.randn(2, LENGTH, DIM)
    padded = functional.pad(x, (0, 0, 0, 5), value=9.0)
    torch.testing.assert_close(through(blocks, padded)[:, :LENGTH], through(blocks, x))


@pytest.mark.parametrize(("block", "positions"), KINDS)
def test_the_order_of_earlier_tokens_matters(block, positions):
    blocks, x = stack(block, positions), torch.randn(1, LENGTH, DIM)
    swapped = x[:, [1, 0, *range(2, LENGTH)]]
    assert not torch.allclose(through(blocks, x)[:, -1], through(blocks, swapped)[:, -1], atol=1e-4)


@pytest.mark.parametrize(("block", "positions"), KINDS)
def test_every_weight_is_trained(block, positions):
    blocks = stack(block, positions).train()
    through(blocks, torch.randn(4, LENGTH, DIM)).pow(2).sum().backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in blocks.parameters())


def test_rotary_positions_turn_a_pair_of_entries_by_the_position():
    x = torch.tensor([1.0, 0.0]).expand(1, 1, 5, 2)
    found = Rotary(heads=1, width=2, max_length=5).turned(x)[0, 0]
    steps = torch.arange(5.0)
    torch.testing.assert_close(found, torch.stack([steps.cos(), steps.sin()], dim=1))


def test_rotary_products_depend_on_the_distance_alone():
    torch.manual_seed(0)
    rotary = Rotary(heads=1, width=8, max_length=12)
    query, key = (rotary.turned(torch.randn(8).expand(1, 1, 12, 8))[0, 0] for _ in range(2))  # the same at all places
    products = query @ key.T  # [12, 12]
    for distance in range(-11, 12):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-4, atol=1e-4)
    assert products[0].std() > 0.1


def test_rotary_needs_an_even_width():
    with pytest.raises(UsageError, match=r"tower.positions: rotary needs an even number of entries a head, not 5"):
        make_blocks("ligr", 1, dim=10, heads=2, feed_forward=1, dropout=0.0, positions="rotary", max_length=4)


def test_the_relative_bias_weighs_tokens_by_their_distance():
    positions = RelativeBias(heads=1, width=2, max_length=3)
    positions.bias.data = torch.tensor([[1.0, 2.0, 4.0]]).log()
    zeros, value = torch.zeros(1, 1, 3, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).expand(1, 1, 3, 2)
    found = positions.attend(zeros, zeros, value, 0.0)[0, 0]
    # Weights by distance 1, 2, 4: the last token takes 4/7 of the first, 2/7 of the second, 1/7 of itself.
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0], [2 / 3, 1 / 3], [5 / 7, 3 / 7]]))


def test_a_swiglu_layer_worked_out_by_hand():
    layer = SwiGLU(1, 2)
    layer.gate.weight.data = torch.tensor([[1.0], [-1.0]])
    layer.up.weight.data = torch.tensor([[3.0], [5.0]])
    layer.down.weight.data = torch.tensor([[1.0, 1.0]])
    silu_2, silu_minus_2 = 2 / (1 + torch.tensor(-2.0).exp()), -2 / (1 + torch.tensor(2.0).exp())
    torch.testing.assert_close(layer(torch.tensor([2.0])), (silu_2 * 6 + silu_minus_2 * 10).view(1))


def test_a_closed_gate_leaves_a_token_as_it_is_and_an_open_one_adds_the_layer():
    residual = GatedResidual(2, torch.nn.Identity(), dropout=0.0)
    residual.gate.weight.data.zero_()
    x = torch.tensor([[[3.0, 4.0]]])
    normed = x / (12.5**0.5)  # root of the mean of 9 and 16
    for bias, share in ((-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)):
        residual.gate.bias.data.fill_(bias)
        torch.testing.assert_close(residual(x), x + share * normed)


def test_a_pre_norm_block_is_attention_and_feed_forward_about_a_residual():
    torch.manual_seed(0)
    block = PreNormBlock(DIM, 2, 2, 0.5, "relative", LENGTH).eval()
    x = torch.randn(2, LENGTH, DIM)
    attended = x + block.attention(block.attention_norm(x))
    torch.testing.assert_close(block(x), attended + block.feed_forward(attended))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tower.block=mamba", "tower.block: 'mamba' is none of pre_norm, ligr"),
        ("tower.positions=alibi", "tower.positions: 'alibi' is none of relative, rotary"),
        ("tower.interests=0", "tower.interests must be at least 1, not 0"),
        ("tower.attributes.dropout=1", "tower.attributes.dropout must be within 0…0.99, not 1"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_before_anything_is_read(override, said):
    with pytest.raises(UsageError, match=said):
        load_config(TrainConfig, "train", [override])
