"""Shorter vectors, the temperature's bounds, and figures that say whether vectors still use their room."""

import math

import pytest
import torch

from data_prep.errors import UsageError
from towers.losses.temperature import BoundedTemperature
from towers.model.truncation import truncate
from towers.training.diagnostics import effective_rank, mean_cosine


def test_a_prefix_keeps_length_and_prior():
    whole = torch.tensor([[0.6, 0.0, 0.8, 5.0], [3.0, 4.0, 0.0, 1.0]])
    # .6, 0 rescaled from .6 to 1; 3, 4 are all of their length already.
    torch.testing.assert_close(truncate(whole, 3, prior=True), torch.tensor([[1.0, 0.0, 5.0], [3.0, 4.0, 1.0]]))
    torch.testing.assert_close(truncate(whole[:, :3], 2, prior=False), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    assert truncate(whole, 4, prior=True) is whole


def test_a_prefix_of_nothing_is_finite():
    whole = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    short = truncate(whole, 2, prior=False)
    short.sum().backward()
    assert torch.isfinite(short).all()
    assert torch.isfinite(whole.grad).all()


def test_the_temperature_starts_where_it_should_and_comes_back_from_its_bounds():
    temperature = BoundedTemperature(0.07, 0.01, 1.0)
    assert temperature().item() == pytest.approx(0.07)
    for direction, bound in ((-1, 0.01), (1, 1.0)):
        with torch.no_grad():
            temperature.place.fill_(direction * 8.0)
        value = temperature()
        assert value.item() == pytest.approx(bound, rel=0.01)
        assert 0.01 <= value.item() <= 1.0
        value.backward()
        assert temperature.place.grad > 0
        temperature.place.grad = None
    with pytest.raises(UsageError, match="min_temperature < temperature < max_temperature"):
        BoundedTemperature(1.0, 0.01, 1.0)


def test_collapse_is_seen():
    torch.manual_seed(0)
    spread = torch.nn.functional.normalize(torch.randn(4000, 8), dim=1)
    assert mean_cosine(spread) == pytest.approx(0, abs=0.01)
    assert effective_rank(spread) == pytest.approx(8, abs=0.05)
    one_way = torch.tensor([[1.0, 0.0]]).repeat(5, 1)
    assert mean_cosine(one_way) == pytest.approx(1)
    assert effective_rank(one_way) == pytest.approx(1)
    # Cosines of (1, 0), (0, 1), (1, 1)/√2: 0, 1/√2, 1/√2.
    three = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    assert mean_cosine(three) == pytest.approx(math.sqrt(2) / 3)
    assert mean_cosine(three[:1]) == 0
