"""Whitening of sentence vectors."""

import numpy as np
import pytest
import torch

from data_prep.errors import UsageError
from towers.text.whitening import Whitening


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
