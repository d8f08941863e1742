"""Losses as pure functions on tensors."""

import torch
from torch import Tensor


def sampled_softmax(
    users: Tensor,
    positives: Tensor,
    candidates: Tensor,
    log_q: Tensor,
    excluded: Tensor,
    temperature: Tensor | float,
) -> Tensor:
    """Cross-entropy of each positive against a shared set of sampled candidates.

    For row i, with s the inner product and T the temperature, the loss is
        -log( exp(s_ii / T) / (exp(s_ii / T) + sum_j exp(s_ij / T - log Q_j)) )
    over the candidates j that are not excluded for i. Q_j is the expected number of times j is drawn into the set, so
    the sum estimates the sum over the whole catalogue; the positive was not drawn and is not corrected. Source: Bengio
    & Senécal, "Adaptive importance sampling to accelerate training of a neural probabilistic language model", 2008;
    the uncorrected positive: Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025.

    Args:
        users: user vectors, [P, d].
        positives: the positive item's vector for each, [P, d].
        candidates: candidate item vectors, [C, d].
        log_q: log of each candidate's expected count, [C]; zeros when every item stands in the set once.
        excluded: [P, C], True where a candidate is no negative for that row.
        temperature: divides the similarities before anything else.

    Returns:
        Loss of each row, [P].
    """
    positive = (users * positives).sum(dim=1) / temperature  # [P]
    negative = users @ candidates.T / temperature - log_q  # [P, C]
    negative = negative.masked_fill(excluded, float("-inf"))
    return torch.logsumexp(torch.cat([positive.unsqueeze(1), negative], dim=1), dim=1) - positive


def excluded_candidates(
    row_users: Tensor, known_users: Tensor, known_rows: Tensor, positives: Tensor, candidates: Tensor
) -> Tensor:
    """Which candidates are no negatives: the row's own positive, and every item its user is known to have.

    Args:
        row_users: user of each loss row, [P], values 0…U-1.
        known_users: users of known (user, item) pairs, [K].
        known_rows: items of those pairs, [K].
        positives: positive item of each loss row, [P].
        candidates: candidate items, [C].

    Returns:
        [P, C] boolean.
    """
    num_users = int(row_users.max()) + 1 if len(row_users) else 0
    span = int(max(candidates.max(), known_rows.max(), positives.max())) + 1
    pairs = torch.cat([known_users * span + known_rows, row_users * span + positives]).unique()
    wanted = torch.arange(num_users, device=candidates.device).unsqueeze(1) * span + candidates  # [U, C]
    place = torch.searchsorted(pairs, wanted).clamp(max=len(pairs) - 1)
    excluded: Tensor = (pairs[place] == wanted)[row_users]
    return excluded  # [P, C]
