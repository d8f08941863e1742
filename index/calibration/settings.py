"""Settings of the choice of an index, as the command that builds one gives them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexSettings:
    """How an index is trained, tried and calibrated.

    Attributes:
        recall_k: depth of index recall.
        recall_target: index recall to reach.
        bytes_per_item: the most bytes of memory that index and stored vectors may take for each item; None for any.
        trial_rows: items that several indexes are tried on; of a larger catalogue so many are drawn.
        points_per_list: training vectors for each inverted list.
        require_gpu: refuse to train without one.
        seed: of every sample drawn.
    """

    recall_k: int
    recall_target: float
    bytes_per_item: float | None
    trial_rows: int
    points_per_list: int
    require_gpu: bool
    seed: int
