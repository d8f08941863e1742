"""`run.json` of a cross-encoder: its training's settings and outcome, typed; written and read here."""

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

CROSS_ENCODER = "cross_encoder"
"""Folder, in a run, of the cross-encoder that `index.build` takes."""

CURE = "python -m towers.train_ranker trains one"


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
class CrossEncoderRecord:
    """Everything a cross-encoder says of itself beside its weights.

    Attributes:
        towers_fingerprint: of the towers whose candidates it orders.
        config: the whole configuration of `towers.train_ranker`, as composed.
        result: the outcome of its training.
    """

    towers_fingerprint: str
    config: Node
    result: RankerResult

    def write(self, folder: Path) -> None:
        """Write it into the cross-encoder's folder."""
        write_json(folder / RUN, json.loads(json.dumps(asdict(self), default=str)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record of a cross-encoder.

        Raises:
            UsageError: there is none, or it is damaged or of another version.
        """
        try:
            fields = read_json(folder / RUN)
            return cls(**fields | {"result": _result(fields["result"])})
        except FileNotFoundError as error:
            raise UsageError(f"no trained cross-encoder in {folder} ({RUN} is missing); {CURE}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{folder / RUN} is damaged or of another version ({error}); {CURE}") from error

    def check(self, folder: Path, towers: str) -> None:
        """Refuse a cross-encoder that was trained for other towers than those of this fingerprint.

        Raises:
            UsageError: the fingerprints differ.
        """
        check_towers(folder, self.towers_fingerprint, towers, "train it again (towers.train_ranker), or remove it")


def _result(fields: Mapping[str, Any]) -> RankerResult:
    compared = {name: fields[name] and PairedComparison(**fields[name]) for name in ("users", "queries")}
    return RankerResult(**{**fields, "folder": Path(fields["folder"]), **compared})
