"""Shortlists made up for tests."""

import numpy as np

from towers.ranking.mining import Shortlist


def shortlist(grades: list[int], not_retrieved: list[int] | None = None, context: str = "") -> Shortlist:
    """Items 10, 11, … of these grades, best first by recall; items 90, 91, … were not retrieved."""
    retrieved, others = np.array(grades, np.int64), np.array(not_retrieved or [], np.int64)
    scores = np.linspace(1, 0, len(grades)).astype(np.float32)
    return Shortlist(
        context, 10 + np.arange(len(grades)), scores, retrieved,
        90 + np.arange(len(others)), np.full(len(others), -1, np.float32), others,
    )  # fmt: skip
