"""`run.json` of a funnel: its training's settings and outcome, typed; written and read here and nowhere else."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from data_prep.config import Node
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.metrics.paired import PairedComparison
from towers.model.run_record import RUN, check_towers

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
class FunnelRecord:
    """Everything a funnel says of itself beside its channels and fusions.

    Attributes:
        towers_fingerprint: of the towers it was trained for.
        config: the whole configuration of `towers.train_funnel`, as composed.
        result: the outcome of its training.
        judged_queries: the judged queries that it learnt from.
    """

    towers_fingerprint: str
    config: Node
    result: FunnelResult
    judged_queries: list[str]

    def write(self, folder: Path) -> None:
        """Write it into the funnel's folder."""
        write_json(folder / RUN, json.loads(json.dumps(asdict(self), default=str)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record of a funnel.

        Raises:
            UsageError: there is none, or it is damaged or of another version.
        """
        try:
            fields = read_json(folder / RUN)
            return cls(**fields | {"result": _result(fields["result"])})
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{folder / RUN} is missing, damaged or of another version ({error}); "
                "python -m towers.train_funnel makes a new one"
            ) from error

    def check(self, run: Path, towers: str) -> None:
        """Refuse a funnel that was trained for other towers than those of a run, by their fingerprint.

        Raises:
            UsageError: the fingerprints differ.
        """
        cure = f"python -m towers.train_funnel run={run} again"
        check_towers(self.result.folder, self.towers_fingerprint, towers, cure)


def _result(fields: Mapping[str, Any]) -> FunnelResult:
    compared = {name: fields[name] and PairedComparison(**fields[name]) for name in ("fused", "ranked")}
    return FunnelResult(**{**fields, "folder": Path(fields["folder"]), **compared})
