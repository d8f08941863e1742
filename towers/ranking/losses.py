"""Ranking losses of groups of candidates.

All take scores, grades, a mask and a teacher's scores of G groups of at most n candidates, [G, n] each, and return one
number a group, [G]. Grade 0 is not relevant; the mask is False where a group has fewer candidates than n; the teacher's
scores are zeros without a teacher. The gain of a grade is 2^grade - 1, as in NDCG, so an event (grade 1) weighs 1. A
group in which a loss finds nothing to compare costs 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.config import require


class RankingLoss(ABC):
    """A pure function of the four, with its settings; `conf/ranking_loss` has a file for each.

    Attributes:
        taught: whether it learns from a teacher's scores.
    """

    taught: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        """The loss of each group, [G]."""


class Softmax(RankingLoss):
    """Cross-entropy of each relevant candidate against those of a lower grade, weighted by gain.

    For one relevant candidate in a group it is the softmax over the group. Several do not compete with their equals.
    The default: events tell better what was relevant than what was seen.
    """

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        lower = (grades.unsqueeze(1) < grades.unsqueeze(2)) & mask.unsqueeze(1)  # [G, i, j]: j below i
        rivals = scores.unsqueeze(1).masked_fill(~lower, -torch.inf)  # [G, i, j]
        total = torch.logsumexp(torch.cat([scores.unsqueeze(2), rivals], dim=2), dim=2)  # [G, n]
        weights = gains(grades) * mask
        return _mean(weights * (total - scores), weights)


@dataclass(frozen=True)
class Binary(RankingLoss):
    """Mean binary cross-entropy of each candidate by itself. For scores that are to be read as chances.

    Attributes:
        threshold: grade from which a candidate counts as relevant.
    """

    threshold: float

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        relevant = (grades >= self.threshold).to(scores.dtype)
        each = functional.binary_cross_entropy_with_logits(scores, relevant, reduction="none")
        return _mean(each * mask, mask.to(scores.dtype))


@dataclass(frozen=True)
class LambdaLoss(RankingLoss):
    """Sum over pairs i above j in grade of |change of NDCG if they swapped| * log(1 + exp(-sigma (s_i - s_j))).

    The change is that of the order that the scores give now, without gradient. For graded judgements, where the first
    places matter. Source: Burges, "From RankNet to LambdaLoss to LambdaMART", 2010, section 4; as a loss: Wang et al.,
    "The LambdaLoss framework", CIKM 2018.

    Attributes:
        sigma: steepness.
    """

    sigma: float

    def __post_init__(self) -> None:
        require("ranking_loss.sigma", self.sigma, 1e-6)

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        order = scores.detach().masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
        discounts = 1 / torch.log2(order.argsort(dim=1) + 2.0)  # [G, n]
        gain = gains(grades) * mask
        places = torch.log2(torch.arange(scores.shape[1], device=gain.device) + 2)
        best = gain.sort(dim=1, descending=True).values / places
        swapped = _differences(gain) * _differences(discounts) / best.sum(dim=1).clamp(min=1e-12)[:, None, None]
        cost = functional.softplus(-self.sigma * _differences(scores))
        return (swapped.abs() * cost * _pairs(grades, mask)).sum(dim=(1, 2))


@dataclass(frozen=True)
class ListNet(RankingLoss):
    """Cross-entropy between who would come first by `sharpness` * grade and who by score, both as softmax.

    For graded judgements of whole lists. Source: Cao et al., "Learning to rank: from pairwise approach to listwise
    approach" (ListNet), ICML 2007, eq. 4 for the first place.

    Attributes:
        sharpness: factor of the grades; the higher, the more of the target lies on the best.
    """

    sharpness: float

    def __post_init__(self) -> None:
        require("ranking_loss.sharpness", self.sharpness, 1e-6)

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        target = torch.softmax((self.sharpness * grades).masked_fill(~mask, -torch.inf), dim=1)
        predicted = torch.log_softmax(scores.masked_fill(~mask, -torch.inf), dim=1).masked_fill(~mask, 0.0)
        return -(target * predicted).sum(dim=1)


class MarginMSE(RankingLoss):
    """Mean over pairs i above j in grade of ((s_i - s_j) - (t_i - t_j))^2, t being the teacher's scores.

    For a small student of a deep teacher. Source: Hofstätter et al., "Improving efficient neural ranking models with
    cross-architecture knowledge distillation", 2020, eq. 5.
    """

    taught = True

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        pairs = _pairs(grades, mask).to(scores.dtype)  # [G, i, j]
        off = _differences(scores) - _differences(teacher)
        return _mean((off.square() * pairs).flatten(1), pairs.flatten(1))


def gains(grades: Tensor) -> Tensor:
    """2^grade - 1 (Burges et al., "Learning to rank using gradient descent", ICML 2005)."""
    return torch.exp2(grades) - 1


def _pairs(grades: Tensor, mask: Tensor) -> Tensor:
    """Pairs (i, j) of real candidates with i above j in grade, [G, n, n]."""
    real = mask.unsqueeze(2) & mask.unsqueeze(1)
    return (grades.unsqueeze(2) > grades.unsqueeze(1)) & real


def _differences(values: Tensor) -> Tensor:
    """value_i - value_j, [G, n] -> [G, i, j]."""
    return values.unsqueeze(2) - values.unsqueeze(1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of values over sum of weights, [G, m] each -> [G]; 0 where all weights are."""
    return values.sum(dim=1) / weights.sum(dim=1).clamp(min=1e-12)
