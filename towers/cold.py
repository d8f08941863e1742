"""Cold items: what no model has seen in training, and how well it is found all the same."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from towers.evaluation import Cases, Outcome, metric_names
from towers.metrics import bootstrap_intervals


def held_back(item_ids: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which items are made cold for a trial: their training events are left out.

    An item's own id decides with the seed, so the choice is the same whatever else is in the catalogue.

    Args:
        item_ids: the catalogue's strings, N.
        share: of the items, about.
        seed: another one holds back other items.

    Returns:
        [N].
    """
    digests = (hashlib.blake2b(f"{seed}/{item_id}".encode(), digest_size=8).digest() for item_id in item_ids)
    drawn = np.array([int.from_bytes(digest, "big") / 2**64 for digest in digests])  # uniform in 0…1
    return drawn < share


def cold_cases(cases: Cases, counts: NDArray[np.int64]) -> Cases:
    """The users who want an item without any training event, and only those items of what they want.

    Args:
        cases: everyone.
        counts: training events of each item, [N].
    """
    truth = [wanted[counts[wanted] == 0] for wanted in cases.truth]
    kept = np.array([len(wanted) > 0 for wanted in truth], np.bool_)
    return replace(
        cases,
        users=cases.users[kept],
        ends=cases.ends[kept],
        truth=[wanted for wanted in truth if len(wanted)],
    )


def summarize_cold(outcome: Outcome, cases: Cases, samples: int, confidence: float, seed: int) -> dict[str, Any]:
    """Recall of the cold items, the whole catalogue being ranked: name -> {mean, low, high}.

    Args:
        outcome: what a scorer did.
        cases: on `cold_cases`.
        samples, confidence, seed: of the bootstrap intervals.
    """
    low, high = bootstrap_intervals(outcome.metrics, samples, confidence, seed)
    found = zip(metric_names(cases.cutoffs), outcome.metrics.mean(axis=0), low, high, strict=True)
    return {
        name: {"mean": float(mean), "low": float(a), "high": float(b)}
        for name, mean, a, b in found
        if name.startswith("recall@")
    }
