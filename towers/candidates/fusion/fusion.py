"""What a fusion is."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from towers.candidates.candidate_pool import Pools
from towers.candidates.labelled_pools import LabelledPools


class FittedFusion(Protocol):
    """Gives candidates one score out of all that is known of them."""

    def scores(self, pools: Pools) -> NDArray[np.float64]:
        """Scores of all candidates, [T]; higher is better, finite, comparable within a user."""
        ...

    def state(self) -> dict[str, Any]:
        """What `restore` takes, as JSON."""
        ...

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """What had this state."""
        ...


class Fusion(Protocol):
    """A fusion that is yet to be fitted; settings go to the constructor.

    Attributes:
        reads_facts: whether it reads facts of items, by which it could know one item again.
    """

    reads_facts: ClassVar[bool]

    def fit(self, labelled: LabelledPools, channels: Sequence[str]) -> FittedFusion:
        """Learn from users of whom it is known what they relevant.

        Args:
            labelled: their pools.
            channels: names of the C channels, the towers first.

        Raises:
            DoesNotApply: this machine does not allow it.
            GateFailed: there is nothing to learn from.
        """
        ...
