"""Ranking losses of groups of candidates: pure functions, and a class for each.

All take scores, grades and a mask of G groups of at most n candidates, [G, n] each, and return one number a group, [G].
Grade 0 is not relevant; the mask is False where a group has fewer candidates than n. The gain of a grade is
2^grade - 1, as in NDCG, so an event (grade 1) weighs 1. A group in which a loss finds nothing to compare costs 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.config import require


def gains(grades: Tensor) -> Tensor:
    """2^grade - 1 (Burges et al., "Learning to rank using gradient descent", ICML 2005)."""
    return torch.exp2(grades) - 1


def softmax(scores: Tensor, grades: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of each relevant candidate against those of a lower grade, weighted by gain.

    For one relevant candidate in a group it is the softmax over the group. Several do not compete with their equals.
    """
    lower = (grades.unsqueeze(1) < grades.unsqueeze(2)) & mask.unsqueeze(1)  # [G, i, j]: j below i
    rivals = scores.unsqueeze(1).masked_fill(~lower, -torch.inf)  # [G, i, j]
    total = torch.logsumexp(torch.cat([scores.unsqueeze(2), rivals], dim=2), dim=2)  # [G, n]
    weights = gains(grades) * mask
    return _mean(weights * (total - scores), weights)


def binary(scores: Tensor, grades: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Mean binary cross-entropy of each candidate by itself, relevant from grade `threshold` on."""
    each = functional.binary_cross_entropy_with_logits(scores, (grades >= threshold).to(scores.dtype), reduction="none")
    return _mean(each * mask, mask.to(scores.dtype))


def lambda_rank(scores: Tensor, grades: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Sum over pairs i above j in grade of |change of NDCG if they swapped| * log(1 + exp(-sigma (s_i - s_j))).

    The change is that of the order that the scores give now, without gradient. Source: Burges, "From RankNet to
    LambdaLoss to LambdaMART", 2010, section 4; as a loss: Wang et al., "The LambdaLoss framework", CIKM 2018.
    """
    places = scores.detach().masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    discounts = 1 / torch.log2(places + 2.0)  # [G, n]
    gain = gains(grades) * mask
    best = gain.sort(dim=1, descending=True).values / torch.log2(torch.arange(scores.shape[1], device=gain.device) + 2)
    swapped = _differences(gain) * _differences(discounts) / best.sum(dim=1).clamp(min=1e-12)[:, None, None]
    cost = functional.softplus(-sigma * _differences(scores))
    return (swapped.abs() * cost * _pairs(grades, mask)).sum(dim=(1, 2))


def list_net(scores: Tensor, grades: Tensor, mask: Tensor, sharpness: float) -> Tensor:
    """Cross-entropy between who would come first by `sharpness` * grade and who by score, both as softmax.

    Source: Cao et al., "Learning to rank: from pairwise approach to listwise approach" (ListNet), ICML 2007, eq. 4 for
    the first place.
    """
    target = torch.softmax((sharpness * grades).masked_fill(~mask, -torch.inf), dim=1)
    return -(target * _log_softmax(scores, mask)).sum(dim=1)


def margin_mse(scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
    """Mean over pairs i above j in grade of ((s_i - s_j) - (t_i - t_j))^2, t being the teacher's scores, [G, n].

    Source: Hofstätter et al., "Improving efficient neural ranking models with cross-architecture knowledge
    distillation", 2020, eq. 5.
    """
    pairs = _pairs(grades, mask).to(scores.dtype)  # [G, i, j]
    off = _differences(scores) - _differences(teacher)
    return _mean((off.square() * pairs).flatten(1), pairs.flatten(1))


def kl_divergence(scores: Tensor, mask: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence of the softmax over a group's scores from that over a teacher's, each over `temperature`, [G].

    Sum over candidates of p * log(p / q), p being the teacher's chances and q those of the scores. Source: Lin et al.,
    "In-batch negatives for knowledge distillation with tightly-coupled teachers for dense retrieval", 2021, eq. 4.
    """
    target, predicted = (_log_softmax(values / temperature, mask) for values in (teacher, scores))
    return (target.exp() * (target - predicted) * mask).sum(dim=1)


def _log_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Log of the softmax over the real candidates of each group; 0 elsewhere, [G, n]."""
    return torch.log_softmax(values.masked_fill(~mask, -torch.inf), dim=1).masked_fill(~mask, 0.0)


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


class RankingLoss(ABC):
    """One of the functions above with its settings; `conf/ranking_loss` has a file for each.

    Attributes:
        taught: whether it learns from a teacher's scores.
    """

    taught: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        """The loss of each group, [G]; `teacher` holds zeros without a teacher."""


class Softmax(RankingLoss):
    """See `softmax`. The default: events tell better what was relevant than what was seen."""

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return softmax(scores, grades, mask)


@dataclass(frozen=True)
class Binary(RankingLoss):
    """See `binary`. For scores that are to be read as chances.

    Attributes:
        threshold: grade from which a candidate counts as relevant.
    """

    threshold: float

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return binary(scores, grades, mask, self.threshold)


@dataclass(frozen=True)
class LambdaLoss(RankingLoss):
    """See `lambda_rank`. For graded judgements, where the first places matter.

    Attributes:
        sigma: steepness.
    """

    sigma: float

    def __post_init__(self) -> None:
        require("ranking_loss.sigma", self.sigma, 1e-6)

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return lambda_rank(scores, grades, mask, self.sigma)


@dataclass(frozen=True)
class ListNet(RankingLoss):
    """See `list_net`. For graded judgements of whole lists.

    Attributes:
        sharpness: factor of the grades; the higher, the more of the target lies on the best.
    """

    sharpness: float

    def __post_init__(self) -> None:
        require("ranking_loss.sharpness", self.sharpness, 1e-6)

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return list_net(scores, grades, mask, self.sharpness)


class MarginMSE(RankingLoss):
    """See `margin_mse`. For a small student of a deep teacher."""

    taught = True

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return margin_mse(scores, grades, mask, teacher)


@dataclass(frozen=True)
class KLDivergence(RankingLoss):
    """See `kl_divergence`. For students that are to order as a teacher does, whatever the size of its scores.

    Attributes:
        temperature: divides the scores of both; the higher, the more the lower places count.
    """

    taught = True

    temperature: float

    def __post_init__(self) -> None:
        require("ranking_loss.temperature", self.temperature, 1e-6)

    def __call__(self, scores: Tensor, grades: Tensor, mask: Tensor, teacher: Tensor) -> Tensor:
        return kl_divergence(scores, mask, teacher, self.temperature)
