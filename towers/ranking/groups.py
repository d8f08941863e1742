"""Groups of candidates that are compared in training, and groups of different sizes as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class CandidateGroup:
    """Some candidates of one example that are compared in training.

    Attributes:
        context: the user, as text.
        rows: [n].
        scores: recall's, [n].
        grades: [n]; at least two of them differ.
        teacher: a teacher's scores, [n]; None without a teacher.
    """

    context: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    grades: NDArray[np.int64]
    teacher: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PaddedGroups:
    """G groups side by side, n the longest; zeros where a group is shorter.

    Attributes:
        mask: where there are candidates, [G, n].
        rows: items, [G, n].
        scores: recall's, [G, n].
        grades: [G, n].
        teacher: a teacher's scores, [G, n]; zeros without a teacher.
    """

    mask: Tensor
    rows: Tensor
    scores: Tensor
    grades: Tensor
    teacher: Tensor

    @classmethod
    def of(cls, groups: Sequence[CandidateGroup]) -> Self:
        """Put groups side by side; there may be none."""
        lengths = torch.tensor([len(group.rows) for group in groups], dtype=torch.int64)
        mask = torch.arange(int(lengths.max()) if groups else 0) < lengths.unsqueeze(1)

        def padded(parts: Sequence[NDArray[Any]], kind: torch.dtype) -> Tensor:
            flat = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *parts])).to(kind)
            return torch.zeros(mask.shape, dtype=kind).masked_scatter(mask, flat)

        return cls(
            mask,
            padded([group.rows for group in groups], torch.int64),
            padded([group.scores for group in groups], torch.float32),
            padded([group.grades for group in groups], torch.float32),
            padded([np.zeros(len(g.rows)) if g.teacher is None else g.teacher for g in groups], torch.float32),
        )

    def __len__(self) -> int:
        return len(self.mask)

    def to(self, device: torch.device, non_blocking: bool = False) -> "PaddedGroups":
        """The same groups on another device."""
        return PaddedGroups(*(part.to(device, non_blocking=non_blocking) for part in vars(self).values()))
