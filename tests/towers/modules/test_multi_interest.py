"""Several vectors for one user: which is trained, and how they score."""

import torch
from torch.nn import functional

from tests.towers.modules.test_towers import DIM, a_batch, user_tower
from towers.modules.multi_interest import best_interest, score


def test_the_vector_nearest_to_the_positive_is_trained_and_no_other():
    users = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]], requires_grad=True)
    chosen = best_interest(users, torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
    assert chosen.tolist() == [[1, 0], [0, 1]]
    chosen.sum().backward()
    assert users.grad.tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 1]]]


def test_one_vector_is_trained_as_it_is():
    users = torch.randn(3, 4)
    assert best_interest(users, torch.randn(3, 4)) is users


def test_a_score_is_the_largest_over_a_users_vectors():
    torch.manual_seed(0)
    users, items = torch.randn(5, 3, 8), torch.randn(11, 8)
    slow = [[max(float(vector @ item) for vector in user) for item in items] for user in users]
    torch.testing.assert_close(score(users, items), torch.tensor(slow))
    torch.testing.assert_close(score(users[:, 0], items), users[:, 0] @ items.T)


def test_every_interest_meets_the_prior_and_departs_from_it_by_its_own_strength():
    tower = user_tower(prior=True, interests=3)
    tower.strength.bias.data = torch.tensor([0.0, 1.0, 2.0])
    found = tower(*a_batch())
    assert found.shape == (3, 7, 3, DIM)
    assert (found[..., -1] == 1).all()
    lengths = found[..., :-1].norm(dim=3)
    torch.testing.assert_close(lengths, functional.softplus(torch.tensor([0.0, 1.0, 2.0])).expand_as(lengths))


def test_no_interest_knows_what_comes_after_its_moment():
    tower = user_tower(prior=True, interests=2)
    vectors, events, gaps = a_batch()
    before = tower(vectors, events, gaps)
    vectors[:, 3:], events[:, 3:], gaps[:, 3:] = 0.5, 1, 2
    torch.testing.assert_close(before[:, :4], tower(vectors, events, gaps)[:, :4])


def test_at_first_each_interest_looks_at_another_of_the_newest_tokens():
    tower = user_tower(layers=0, interests=2)
    tower.norm.weight.data.zero_()
    tower.projections.bias.data.zero_()
    vectors, events, gaps = a_batch(4)
    found = tower(vectors, events, gaps)[:, 4]
    newest, second, third = vectors[:, 3], vectors[:, 2], vectors[:, 1]
    torch.testing.assert_close(found[:, 0], functional.normalize(newest + 0.6 * second + 0.36 * third, dim=1))
    torch.testing.assert_close(found[:, 1], functional.normalize(0.6 * newest + second + 0.6 * third, dim=1))
