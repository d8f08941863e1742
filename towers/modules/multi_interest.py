"""Several vectors for one user: the best of them answers.

A user vector is [D]; with K interests it is [K, D], and a score is the largest of K inner products. Whatever makes,
trains and compares user vectors takes both forms, so that one vector costs no more than without interests.

Source: Li et al., "Multi-Interest Network with Dynamic Routing" (MIND), CIKM 2019; the hard choice in training is that
of Cen et al., "Controllable Multi-Interest Framework" (ComiRec), KDD 2020, eq. 6.
"""

import torch
from torch import Tensor


def best_interest(users: Tensor, positives: Tensor) -> Tensor:
    """Of each user's vectors the one nearest to what they took: the one to be trained.

    Args:
        users: [P, D], or [P, K, D].
        positives: [P, D].

    Returns:
        [P, D].
    """
    if users.ndim == 2:
        return users
    nearest = (users @ positives.unsqueeze(2)).squeeze(2).argmax(dim=1)  # [P]
    return users[torch.arange(len(users), device=users.device), nearest]


def score(users: Tensor, items: Tensor) -> Tensor:
    """Inner products of users and items, the largest over a user's vectors.

    Args:
        users: [B, D], or [B, K, D].
        items: [N, D].

    Returns:
        [B, N].
    """
    if users.ndim == 2:
        return users @ items.T
    first, *others = users.unbind(dim=1)
    scores = first @ items.T
    for interest in others:  # one at a time: memory stays that of two score matrices
        scores = torch.maximum(scores, interest @ items.T)
    return scores
