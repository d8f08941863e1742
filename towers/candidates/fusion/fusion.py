"""A fusion: one score of each candidate out of the scores of all channels and its features."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from towers.candidates.candidate_pool import CandidatePools
from towers.candidates.labelled_pools import LabelledPools


@dataclass(frozen=True)
class FittedFusion(ABC):
    """One score of each candidate; its fields are JSON.

    Attributes:
        kind: the name that files have for it, whatever the class is called.
    """

    kind: ClassVar[str]

    @abstractmethod
    def scores(self, pools: CandidatePools) -> NDArray[np.float64]:
        """Scores of all candidates, [T]; higher is better, finite, comparable within a user."""


class Fusion(Protocol):
    """A fusion that is yet to be fitted; settings go to the constructor.

    Attributes:
        reads_item_features: whether it reads features of items, by which it could recognise one.
    """

    reads_item_features: ClassVar[bool]

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> FittedFusion:
        """Learn from users whose relevant items are known.

        Args:
            labelled: their pools.
            channels: names of the C channels, the towers first.

        Raises:
            DoesNotApply: this machine does not allow it.
            GateFailed: there is nothing to learn from.
        """
        ...
