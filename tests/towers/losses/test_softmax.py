"""The loss against a loop that can be read aloud."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from towers.losses import CrossBatch, Encoded, ExactCounts, Full, InBatch, Negatives, Uniform
from towers.losses.softmax import conflict_rate, excluded_candidates, repeated_candidates, sampled_softmax
from towers.modules.tokens import PADDING

MIXTURES = {
    "in_batch": lambda: {"in_batch": InBatch()},
    "uniform": lambda: {"uniform": Uniform(5)},
    "full": lambda: {"full": Full()},
    "mixed": lambda: {"in_batch": InBatch(), "uniform": Uniform(4)},
    "three": lambda: {"in_batch": InBatch(), "uniform": Uniform(4), "cross_batch": CrossBatch(2)},
}


def loss_by_loop(users, row_users, positives, items, candidates, log_q, known, temperature, own, smoothing):
    """The formula of the docstring, one scalar at a time.

    `candidates` are (row, vector), `known` is a set of (user, item) pairs, `own` a list of items for each row.
    """
    losses = []
    for i, (user, positive) in enumerate(zip(row_users, positives, strict=True)):
        score = float(users[i] @ items[positive]) / temperature
        total, others = math.exp(score), []
        for j, (candidate, vector) in enumerate(candidates):
            if candidate == positive or (user, candidate) in known or candidate in own[i]:
                continue
            similarity = float(users[i] @ vector) / temperature
            total += math.exp(similarity - float(log_q[j]))
            others.append((math.exp(-float(log_q[j])), similarity))
        for candidate in own[i]:
            similarity = float(users[i] @ items[candidate]) / temperature
            total += math.exp(similarity)
            others.append((1.0, similarity))
        mean = sum(w * s for w, s in others) / sum(w for w, _ in others) if others else score
        losses.append(math.log(total) - (1 - smoothing) * score - smoothing * mean)
    return torch.tensor(losses)


@st.composite
def batches(draw):
    """Positives of a few users among a few items, so that both repeat; counts as they might have been in a log."""
    num_items = draw(st.integers(3, 8))
    rows = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, num_items - 1)), min_size=2, max_size=10))
    counts = draw(st.lists(st.integers(1, 9), min_size=num_items, max_size=num_items))
    own = draw(st.lists(st.sets(st.integers(0, num_items - 1), max_size=3), min_size=len(rows), max_size=len(rows)))
    return num_items, [u for u, _ in rows], [i for _, i in rows], torch.tensor(counts, dtype=torch.float32), own


@settings(max_examples=80, deadline=None)
@given(
    batch=batches(),
    temperature=st.sampled_from([0.07, 0.5, 1.0, 2.0]),
    scheme=st.sampled_from(sorted(MIXTURES)),
    correction=st.sampled_from([0.0, 0.5, 1.0]),
    smoothing=st.sampled_from([0.0, 0.1]),
    with_own=st.booleans(),
)
def test_loss_equals_the_loop_with_repeats_own_candidates_and_several_positives_of_one_user(
    batch, temperature, scheme, correction, smoothing, with_own
):
    num_items, row_users, positives, counts, own = batch
    torch.manual_seed(0)
    items = torch.nn.functional.normalize(torch.randn(num_items, 4, dtype=torch.float64), dim=1)
    users = torch.nn.functional.normalize(torch.randn(len(positives), 4, dtype=torch.float64), dim=1)
    known = set(zip(row_users, positives, strict=True))
    negatives = Negatives(MIXTURES[scheme](), correction, ExactCounts, counts, seed=0)
    owners, relevant = torch.tensor(row_users), torch.tensor(positives)
    of_batch = Encoded(relevant, items[relevant])
    for _ in range(2):  # a memory has something from the second batch on
        sampled = negatives.sample()
        drawn = negatives.candidates(of_batch, Encoded(sampled, items[sampled]))

    own = [
        sorted(o for o in row if o != p and (u, o) not in known) if with_own else []
        for row, u, p in zip(own, row_users, positives, strict=True)
    ]
    excluded = excluded_candidates(owners, owners, relevant, relevant, drawn.rows)
    vectors, absent = None, None
    if with_own:
        padded = torch.tensor([row + [PADDING] * (3 - len(row)) for row in own])
        excluded = excluded | repeated_candidates(padded, drawn.rows)
        vectors, absent = items[padded.clamp(min=0)], padded == PADDING
    found = sampled_softmax(
        users, items[relevant], drawn.vectors, drawn.log_q, excluded, temperature, vectors, absent, smoothing
    )

    candidates = list(zip(drawn.rows.tolist(), drawn.vectors, strict=True))
    expected = loss_by_loop(
        users, row_users, positives, items, candidates, drawn.log_q, known, temperature, own, smoothing
    )
    torch.testing.assert_close(found, expected.double(), atol=1e-5, rtol=1e-5)


def test_temperature_comes_before_the_correction():
    users, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    log_q = torch.tensor([math.log(0.25)])
    found = sampled_softmax(users, items[:1], items[1:], log_q, torch.zeros(1, 1, dtype=torch.bool), 0.5)
    # s+/T = 2; s-/T - log Q = 0 + log 4.
    assert found.item() == pytest.approx(math.log(math.exp(2) + 4) - 2)


def test_smoothing_over_the_whole_catalogue_is_cross_entropy_with_soft_labels():
    torch.manual_seed(2)
    users, items = torch.randn(3, 4), torch.randn(6, 4)
    relevant = torch.tensor([5, 0, 2])
    excluded = relevant.unsqueeze(1) == torch.arange(6)
    found = sampled_softmax(users, items[relevant], items, torch.zeros(6), excluded, 0.5, smoothing=0.3)
    labels = torch.full((3, 6), 0.3 / 5).scatter(1, relevant.unsqueeze(1), 0.7)
    torch.testing.assert_close(found, -(labels * torch.log_softmax(users @ items.T / 0.5, dim=1)).sum(dim=1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_stay_finite_at_a_temperature_of_one_hundredth(smoothing):
    torch.manual_seed(1)
    users = torch.nn.functional.normalize(torch.randn(6, 4), dim=1).requires_grad_()
    items = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    excluded = torch.ones(6, 6, dtype=torch.bool)
    excluded[0, 1:] = False
    losses = sampled_softmax(users, items, items, torch.full((6,), -20.0), excluded, 0.01, smoothing=smoothing)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(users.grad).all()
    assert losses[1:].abs().max() == 0  # everything but the positive is excluded


def test_no_candidates_and_no_rows_are_no_trouble():
    none, some = torch.zeros(0, dtype=torch.int64), torch.tensor([1, 2])
    assert excluded_candidates(none, none, none, none, some).shape == (0, 2)
    assert excluded_candidates(some, none, none, some, none).shape == (2, 0)
    losses = sampled_softmax(
        torch.randn(2, 3), torch.randn(2, 3), torch.randn(0, 3), torch.zeros(0), torch.zeros(2, 0) > 0, 0.1
    )
    assert losses.tolist() == [0, 0]


@pytest.mark.parametrize("number", [0, 3], ids=["no candidates", "all excluded"])
def test_a_row_that_nothing_is_left_for_costs_nothing_and_its_gradient_is_finite(number: int):
    users, positives = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    candidates = torch.randn(number, 4, requires_grad=True)
    excluded = torch.ones(2, number, dtype=torch.bool)
    loss = sampled_softmax(users, positives, candidates, torch.zeros(number), excluded, 0.1)
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), torch.zeros(2))
    for tensor in (users, positives, candidates):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, torch.zeros_like(tensor))


@settings(max_examples=50, deadline=None)
@given(batch=batches())
def test_conflict_rate_counts_other_positives_that_a_user_has(batch):
    num_items, row_users, positives, _, own = batch
    candidates = [*positives, *range(num_items // 2)]  # the last ones are another rank's
    known = sorted({(user, item) for user, items in zip(row_users, own, strict=True) for item in items})
    had = set(known) | set(zip(row_users, positives, strict=True))
    pairs = [(u, p, q) for u, p in zip(row_users, positives, strict=True) for q in candidates if p != q]
    expected = sum((u, q) in had for u, _, q in pairs) / max(len(pairs), 1)
    users, rows = (torch.tensor([pair[i] for pair in known], dtype=torch.long) for i in (0, 1))
    found = conflict_rate(torch.tensor(row_users), users, rows, torch.tensor(positives), torch.tensor(candidates))
    assert float(found) == pytest.approx(expected)
