"""The sampled softmax, and the masks it needs, as pure functions on tensors."""

import torch
from torch import Tensor


def sampled_softmax(
    users: Tensor,
    positives: Tensor,
    candidates: Tensor,
    log_q: Tensor,
    excluded: Tensor,
    temperature: Tensor | float,
    hard: Tensor | None = None,
    hard_excluded: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of each positive against a shared set of sampled candidates, and its hard negatives.

    For row i, with s the inner product and T the temperature, the loss is
        -log( exp(s_ii / T) / (exp(s_ii / T) + sum_j exp(s_ij / T - log Q_j)) )
    over the candidates j that are not excluded for i. Q_j is the expected number of times j is drawn into the set, so
    the sum estimates the sum over the whole catalogue; the positive was not drawn and is not corrected. Source: Bengio
    & Senécal, "Adaptive importance sampling to accelerate training of a neural probabilistic language model", 2008;
    the uncorrected positive: Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025.

    A row's hard negatives were picked for it with certainty, Q = 1; they must be excluded for it among the shared ones.

    With label smoothing the target is 1 - smoothing on the positive, and the rest even over the other items: over the
    whole catalogue with the full softmax, elsewhere its estimate, each candidate weighing 1 / Q. Source: Szegedy et
    al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.

    Args:
        users: user vectors, [P, d].
        positives: the positive item's vector for each, [P, d].
        candidates: candidate item vectors, [C, d].
        log_q: log of each candidate's expected count, [C]; zeros when every item stands in the set once.
        excluded: [P, C], True where a candidate is no negative for that row.
        temperature: divides the similarities before anything else.
        hard: vectors of each row's hard negatives, [P, H, d].
        hard_excluded: [P, H], True where a row has fewer.
        smoothing: share of the target that goes to other items than the positive, 0…1.

    Returns:
        Loss of each row, [P].
    """
    scaled = users / temperature  # [P, d]: the few numbers rather than the many
    positive = (scaled * positives).sum(dim=1)  # [P]
    shared = _masked(torch.addmm(-log_q.to(scaled.dtype), scaled, candidates.T), excluded)  # [P, C]
    groups = [(shared, (-log_q).expand_as(shared), excluded)]
    if hard is not None and hard_excluded is not None:
        certain = _masked((hard @ scaled.unsqueeze(2)).squeeze(2), hard_excluded)  # [P, H]
        groups.append((certain, torch.zeros_like(certain), hard_excluded))
    total = positive
    for logits, _, _ in groups:
        total = torch.logaddexp(total, logits.logsumexp(dim=1))  # [P]
    if not smoothing:
        return total - positive
    negative, log_weight, excluded = (torch.cat(parts, dim=1) for parts in zip(*groups, strict=True))  # [P, C + H]
    return total - positive + smoothing * (positive - _mean_of_others(negative, log_weight, excluded, positive))


def _masked(logits: Tensor, excluded: Tensor) -> Tensor:
    """Logits that count for nothing where they are excluded, in place; finite, so that gradients are so as well."""
    return logits.masked_fill_(excluded, torch.finfo(logits.dtype).min)


def _mean_of_others(negative: Tensor, log_weight: Tensor, excluded: Tensor, positive: Tensor) -> Tensor:
    """Mean similarity of what is not excluded, weighted by 1 / Q, [P]; the positive's where nothing is left."""
    weight = torch.softmax(log_weight.masked_fill(excluded, float("-inf")), dim=1)  # NaN where nothing is left
    similarity = (negative - log_weight).masked_fill(excluded, 0.0)
    mean = (weight.masked_fill(excluded, 0.0) * similarity).sum(dim=1)
    return torch.where(excluded.all(dim=1), positive, mean)


def excluded_candidates(
    row_users: Tensor, known_users: Tensor, known_rows: Tensor, positives: Tensor, candidates: Tensor
) -> Tensor:
    """Candidates that are no negatives of a row: its positive, and every item its user is known to have.

    Args:
        row_users: user of each loss row, [P], values 0…U-1.
        known_users: users of known (user, item) pairs, [K].
        known_rows: items of those pairs, [K].
        positives: positive item of each loss row, [P].
        candidates: candidate items, [C].

    Returns:
        [P, C] boolean.
    """
    if not len(row_users) or not len(candidates):
        return torch.zeros(len(row_users), len(candidates), dtype=torch.bool, device=candidates.device)
    num_users = int(row_users.max()) + 1
    span = int(torch.cat([candidates, known_rows, positives]).max()) + 1
    pairs = torch.cat([known_users * span + known_rows, row_users * span + positives]).unique()
    offered = torch.arange(num_users, device=candidates.device).unsqueeze(1) * span + candidates  # [U, C]
    nearest = torch.searchsorted(pairs, offered).clamp(max=len(pairs) - 1)
    excluded: Tensor = (pairs[nearest] == offered)[row_users]
    return excluded  # [P, C]


def conflict_rate(
    row_users: Tensor, known_users: Tensor, known_rows: Tensor, positives: Tensor, candidates: Tensor
) -> Tensor:
    """How much of a batch in-batch negatives cannot use: the share of other rows' positives that are no negatives.

    Args:
        row_users, known_users, known_rows, positives: as of `excluded_candidates`.
        candidates: the positives of the whole batch, [C]: those above, and those of other processes.

    Returns:
        Pairs of a row and another item among the candidates that the row's user is known to have, over all pairs of a
        row and another item among them; 0 where there are none.
    """
    span = int(torch.cat([candidates, known_rows, positives]).max()) + 1 if len(row_users) else 1
    times = torch.bincount(candidates, minlength=span)  # [span]
    pairs = torch.cat([known_users * span + known_rows, row_users * span + positives]).unique()
    rows_of = torch.bincount(row_users, minlength=int(known_users.max()) + 1 if len(known_users) else 0)
    same = times[positives].sum()  # pairs of a row and its positive
    conflicts = (rows_of[pairs // span] * times[pairs % span]).sum() - same
    return conflicts / (len(positives) * len(candidates) - same).clamp(min=1)


def repeated_candidates(hard: Tensor, candidates: Tensor) -> Tensor:
    """Shared candidates that a row has among its hard negatives already, so that nothing is counted twice.

    Args:
        hard: each row's hard negatives, [P, H], PADDING where there are fewer.
        candidates: shared candidates, [C].

    Returns:
        [P, C] boolean.
    """
    ascending = hard.sort(dim=1).values
    shared = candidates.expand(len(hard), -1).contiguous()  # [P, C]
    nearest = torch.searchsorted(ascending, shared).clamp(max=hard.shape[1] - 1)
    return ascending.gather(1, nearest) == shared
