"""The record of a cross-encoder: its training's settings and outcome."""

from dataclasses import dataclass
from pathlib import Path

from towers.metrics.paired import PairedComparison
from towers.model.stage_record import StageRecord

CROSS_ENCODER = "cross_encoder"
"""Folder, in a run, of the cross-encoder that `index.build` takes."""


@dataclass(frozen=True)
class RankerResult:
    """The outcome of training a cross-encoder, on users and queries it did not learn from.

    Attributes:
        folder: of the cross-encoder.
        users: its order beside recall's on users; None where none were kept aside.
        queries: the same on judged queries, each ranked by a model that did not learn from it; None for none.
        not_retrieved: share of the relevant items that were not among the candidates, by "users" and "queries".
        weight: of its text scores beside recall's score; at 0 it adds nothing over recall.
        better: whether it is better than recall on either, beyond chance, and worse on neither.
        recalled_by: channels that judged queries were answered by.
    """

    folder: Path
    users: PairedComparison | None
    queries: PairedComparison | None
    not_retrieved: dict[str, float]
    weight: float
    better: bool
    recalled_by: list[str]


@dataclass(frozen=True)
class CrossEncoderRecord(StageRecord[RankerResult]):
    """Everything a cross-encoder says of itself beside its weights."""

    command = "towers.train_ranker"
    result_type = RankerResult
    compared = ("users", "queries")
