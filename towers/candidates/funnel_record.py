"""The record of a funnel: its training's settings and outcome."""

from dataclasses import dataclass
from pathlib import Path

from towers.metrics.paired import PairedComparison
from towers.model.stage_record import StageRecord

USERS = "users"
"""Source of a funnel that learnt from users of the validation split; see `config` for the sources of queries."""


@dataclass(frozen=True)
class FunnelResult:
    """The outcome of one funnel's training.

    Attributes:
        folder: of the funnel.
        source: of its examples: users, or judged, logged or synthetic queries.
        examples: number of users, or queries, that it learnt from.
        kept: channels that were worth having.
        left_out: channels that do not apply, name -> reason.
        fused: the fused order beside recall's, on the half that chose nothing; None where no channel was worth trying.
        ranked: the ranker's order beside the fused one, or recall's where no channel is kept, each user ranked by a
            ranker that did not learn from them; None for a funnel without a ranker.
        not_retrieved: share of the relevant items that are in no pool.
        by_item: whether what reads features of items was evaluated on items, too, that it did not learn from.
    """

    folder: Path
    source: str
    examples: int
    kept: list[str]
    left_out: dict[str, str]
    fused: PairedComparison | None
    ranked: PairedComparison | None
    not_retrieved: float
    by_item: bool


@dataclass(frozen=True)
class FunnelRecord(StageRecord[FunnelResult]):
    """Everything a funnel says of itself beside its channels and fusions.

    Attributes:
        judged_queries: the judged queries that it learnt from.
    """

    command = "towers.train_funnel"
    result_type = FunnelResult
    compared = ("fused", "ranked")

    judged_queries: list[str]
