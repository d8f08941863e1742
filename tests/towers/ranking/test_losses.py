"""Every ranking loss beside a slow twin that loops over candidates and pairs."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from data_prep.command import instantiate, load_config
from data_prep.errors import UsageError
from towers.ranking.config import RankerConfig
from towers.ranking.losses import (
    Binary,
    LambdaLoss,
    ListNet,
    MarginMSE,
    RankingLoss,
    Softmax,
)
from towers.ranking.mining import CandidateGroup
from towers.ranking.ranker_module import starting_weight

Lists = tuple[list[float], list[float]]  # scores and grades of one group without padding


def some_groups() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores, grades, mask and a teacher's scores of 6 groups of up to 7; padding holds large nonsense."""
    rng = np.random.default_rng(3)
    sizes = [7, 5, 2, 7, 4, 3]
    mask = torch.from_numpy(np.arange(7) < np.array(sizes)[:, None])
    scores = torch.from_numpy(rng.normal(size=(6, 7))).masked_fill(~mask, 99.0)
    grades = torch.from_numpy(rng.integers(0, 4, (6, 7)).astype(float)).masked_fill(~mask, 0.0)
    grades[3] = torch.tensor([0, 0, 1, 0, 0, 0, 0])
    teacher = torch.from_numpy(rng.normal(size=(6, 7))).masked_fill(~mask, -77.0)
    return scores, grades, mask, teacher


def slow_softmax(s: list[float], g: list[float], t: list[float]) -> float:
    total = weight = 0.0
    for i in range(len(s)):
        gain = 2 ** g[i] - 1
        below = sum(math.exp(s[j]) for j in range(len(s)) if g[j] < g[i])
        total += gain * -math.log(math.exp(s[i]) / (math.exp(s[i]) + below))
        weight += gain
    return total / weight if weight else 0.0


def slow_binary(s: list[float], g: list[float], t: list[float]) -> float:
    chances = [1 / (1 + math.exp(-x)) for x in s]
    return -sum(math.log(p if grade >= 2 else 1 - p) for p, grade in zip(chances, g, strict=True)) / len(s)


def ndcg(order: list[int], g: list[float]) -> float:
    def dcg(grades: list[float]) -> float:
        return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))

    return dcg([g[i] for i in order]) / dcg(sorted(g, reverse=True))


def slow_lambda(s: list[float], g: list[float], t: list[float]) -> float:
    if not any(g):
        return 0.0
    order, total = sorted(range(len(s)), key=lambda i: -s[i]), 0.0
    for i in range(len(s)):
        for j in range(len(s)):
            if g[i] > g[j]:
                swapped = [j if k == i else i if k == j else k for k in order]
                change = abs(ndcg(order, g) - ndcg(swapped, g))
                total += change * math.log(1 + math.exp(-1.5 * (s[i] - s[j])))
    return total


def slow_list_net(s: list[float], g: list[float], t: list[float]) -> float:
    target = [math.exp(2 * x) for x in g]
    found = [math.exp(x) for x in s]
    return -sum(a / sum(target) * math.log(b / sum(found)) for a, b in zip(target, found, strict=True))


def slow_margin_mse(s: list[float], g: list[float], t: list[float]) -> float:
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if g[i] > g[j]]
    return sum(((s[i] - s[j]) - (t[i] - t[j])) ** 2 for i, j in pairs) / len(pairs) if pairs else 0.0


@pytest.mark.parametrize(
    ("loss", "slow"),
    [
        (Softmax(), slow_softmax),
        (Binary(threshold=2), slow_binary),
        (LambdaLoss(sigma=1.5), slow_lambda),
        (ListNet(sharpness=2), slow_list_net),
        (MarginMSE(), slow_margin_mse),
    ],
    ids=["softmax", "binary", "lambda", "listwise", "margin_mse"],
)
def test_a_loss_is_what_a_loop_over_candidates_says(
    loss: RankingLoss, slow: Callable[[list[float], list[float], list[float]], float]
):
    scores, grades, mask, teacher = some_groups()
    found = loss(scores, grades, mask, teacher)
    expected = [
        slow(*(values[row][mask[row]].tolist() for values in (scores, grades, teacher))) for row in range(len(scores))
    ]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def test_softmax_of_one_relevant_candidate_is_the_cross_entropy_of_the_group():
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.5]])
    grades, mask = torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool)
    found = Softmax()(scores, grades, mask, teacher=torch.zeros(1, 4))
    torch.testing.assert_close(found[0], torch.nn.functional.cross_entropy(scores, torch.tensor([1])))


@pytest.mark.parametrize("name", ["softmax", "binary", "lambda", "listwise", "margin_mse"])
def test_every_configured_loss_moves_the_relevant_up_and_padding_not_at_all(name: str):
    loss: RankingLoss = instantiate(
        load_config(RankerConfig, "train_ranker", ["run=x", f"ranking_loss={name}"]).ranking_loss
    )
    scores = torch.zeros(2, 4, requires_grad=True)
    grades = torch.tensor([[0.0, 2.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    loss(scores, grades, mask, 5 * grades).sum().backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] < 0 < scores.grad[0, 0] and scores.grad[1, 0] < 0 < scores.grad[1, 1]
    assert (scores.grad[1, 2:] == 0).all()
    assert loss.taught == (name == "margin_mse")


@pytest.mark.parametrize("name", ["softmax", "lambda", "margin_mse"])
def test_a_group_without_differences_costs_nothing_and_harms_nothing(name: str):
    loss: RankingLoss = instantiate(
        load_config(RankerConfig, "train_ranker", ["run=x", f"ranking_loss={name}"]).ranking_loss
    )
    scores = torch.randn(1, 3, requires_grad=True)
    found = loss(scores, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 3))
    found.sum().backward()
    assert found.item() == 0
    assert scores.grad is not None and (scores.grad == 0).all()


def test_recall_starts_with_the_weight_at_which_it_alone_costs_least():
    rng = np.random.default_rng(1)
    material = []
    for size in (4, 6, 5, 6, 3) * 8:
        scores = 7 * rng.normal(size=size).astype(np.float32)
        relevant = np.zeros(size, np.int64)
        relevant[rng.choice(size, p=np.exp(scores / 9) / np.exp(scores / 9).sum())] = 1
        material.append(CandidateGroup("", np.arange(size), scores, relevant))

    def cost(weight: float) -> float:
        each = [weight * group.scores.astype(float) for group in material]
        return float(
            np.mean([np.log(np.exp(s).sum()) - s[group.grades > 0][0] for s, group in zip(each, material, strict=True)])
        )

    found = starting_weight(material, Softmax())
    assert cost(found) <= min(cost(weight) for weight in (found / 1.3, found * 1.3, 0.0, 1.0))
    scaled = [CandidateGroup("", group.rows, 100 * group.scores, group.grades) for group in material]
    assert starting_weight(scaled, Softmax()) == pytest.approx(found / 100, rel=1e-4)


def test_settings_that_make_no_sense_are_refused_by_name():
    with pytest.raises(UsageError, match=r"ranking_loss\.sigma must be at least 1e-06, not 0"):
        LambdaLoss(sigma=0)
    with pytest.raises(UsageError, match=r"ranking_loss\.sharpness must be at least 1e-06, not 0"):
        ListNet(sharpness=0)
