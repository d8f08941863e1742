"""The loss against a loop that can be read aloud."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from towers.losses import excluded_candidates, sampled_softmax
from towers.negatives import Full, InBatch, Uniform


def loss_by_loop(users, row_users, positives, items, candidates, log_q, known, temperature):
    """The formula of the docstring, one scalar at a time. `known` is a set of (user, item) pairs."""
    losses = []
    for i, (user, positive) in enumerate(zip(row_users, positives, strict=True)):
        own = float(users[i] @ items[positive]) / temperature
        total = math.exp(own)
        for j, candidate in enumerate(candidates):
            if candidate == positive or (user, candidate) in known:
                continue
            total += math.exp(float(users[i] @ items[candidate]) / temperature - float(log_q[j]))
        losses.append(math.log(total) - own)
    return torch.tensor(losses)


@st.composite
def batches(draw):
    """Positives of a few users among a few items, so that both repeat; counts as they might have been in a log."""
    num_items = draw(st.integers(3, 8))
    rows = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, num_items - 1)), min_size=2, max_size=10))
    counts = draw(st.lists(st.integers(1, 9), min_size=num_items, max_size=num_items))
    return num_items, [u for u, _ in rows], [i for _, i in rows], torch.tensor(counts, dtype=torch.float32)


@settings(max_examples=60, deadline=None)
@given(
    batch=batches(), temperature=st.sampled_from([0.07, 0.5, 1.0, 2.0]), scheme=st.sampled_from(["in", "uni", "full"])
)
def test_loss_equals_the_loop_with_repeats_and_several_positives_of_one_user(batch, temperature, scheme):
    num_items, row_users, positives, counts = batch
    torch.manual_seed(0)
    items = torch.nn.functional.normalize(torch.randn(num_items, 4, dtype=torch.float64), dim=1)
    users = torch.nn.functional.normalize(torch.randn(len(positives), 4, dtype=torch.float64), dim=1)
    negatives = {"in": InBatch(1.0), "uni": Uniform(5), "full": Full()}[scheme]
    drawn = negatives.draw(torch.tensor(positives), counts)
    owners, wanted = torch.tensor(row_users), torch.tensor(positives)

    excluded = excluded_candidates(owners, owners, wanted, wanted, drawn.rows)
    found = sampled_softmax(users, items[wanted], items[drawn.rows], drawn.log_q, excluded, temperature)

    known = set(zip(row_users, positives, strict=True))
    expected = loss_by_loop(users, row_users, positives, items, drawn.rows.tolist(), drawn.log_q, known, temperature)
    torch.testing.assert_close(found, expected.double(), atol=1e-6, rtol=1e-6)


def test_temperature_comes_before_the_correction():
    users, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    log_q = torch.tensor([math.log(0.25)])
    found = sampled_softmax(users, items[:1], items[1:], log_q, torch.zeros(1, 1, dtype=torch.bool), 0.5)
    # s+/T = 2; s-/T - log Q = 0 + log 4.
    assert found.item() == pytest.approx(math.log(math.exp(2) + 4) - 2)


def test_loss_and_gradient_stay_finite_at_a_temperature_of_one_hundredth():
    torch.manual_seed(1)
    users = torch.nn.functional.normalize(torch.randn(6, 4), dim=1).requires_grad_()
    items = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    excluded = torch.ones(6, 6, dtype=torch.bool)
    excluded[0, 1:] = False
    losses = sampled_softmax(users, items, items, torch.full((6,), -20.0), excluded, 0.01)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(users.grad).all()
    assert losses[1:].abs().max() == 0  # everything but the positive is excluded


def test_in_batch_expectation_is_the_draw_it_describes():
    """Draw many batches: the corrected weights sum, on average, to one for every item."""
    torch.manual_seed(2)
    counts = torch.tensor([1.0, 2.0, 5.0, 12.0])
    size, rounds = 40, 3000
    weight = torch.zeros(4)
    for _ in range(rounds):
        positives = torch.multinomial(counts, size, replacement=True)
        drawn = InBatch(1.0).draw(positives, counts)
        weight.index_add_(0, drawn.rows[1:], torch.exp(-drawn.log_q[1:]))  # row 0's own positive aside
    torch.testing.assert_close(weight / rounds, torch.ones(4), atol=0.08, rtol=0)


def test_uniform_draws_only_what_training_has_seen_and_knows_how_often():
    torch.manual_seed(3)
    counts = torch.tensor([3.0, 0.0, 1.0, 0.0, 9.0])
    drawn = Uniform(3000).draw(torch.tensor([0]), counts)
    assert set(drawn.rows.tolist()) == {0, 2, 4}
    torch.testing.assert_close(drawn.log_q.exp(), torch.full((3000,), 1000.0))


def test_full_offers_every_trained_item_once_and_uncorrected():
    drawn = Full().draw(torch.tensor([2]), torch.tensor([1.0, 0.0, 4.0]))
    assert drawn.rows.tolist() == [0, 2]
    assert drawn.log_q.tolist() == [0.0, 0.0]
