"""`run.json` of a funnel or a cross-encoder, which are trained beside a run's towers; written and read here."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from data_prep.config import Node
from data_prep.errors import UsageError
from data_prep.files import read_json, write_json
from towers.metrics.paired import PairedComparison
from towers.model.run_record import RUN

Result = TypeVar("Result")


@dataclass(frozen=True)
class StageRecord(Generic[Result]):
    """Everything that a funnel or a cross-encoder says of itself beside its weights.

    Attributes:
        towers_fingerprint: of the towers it was trained for.
        config: the whole configuration of its training, as composed.
        result: the outcome, with the folder it was written to.
        command: module that trains it.
        result_type: class of the outcome.
        compared: fields of the outcome that are comparisons, or None.
    """

    command: ClassVar[str]
    result_type: ClassVar[type[Any]]
    compared: ClassVar[tuple[str, ...]]

    towers_fingerprint: str
    config: Node
    result: Result

    def write(self, folder: Path) -> None:
        """Write it into the folder of what it describes."""
        write_json(folder / RUN, json.loads(json.dumps(asdict(self), default=str)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The record in a folder.

        Raises:
            UsageError: there is none, or it is damaged or of another version.
        """
        try:
            fields = read_json(folder / RUN)
            result = fields["result"]
            restored = {name: result[name] and PairedComparison(**result[name]) for name in cls.compared}
            outcome = cls.result_type(**{**result, "folder": Path(result["folder"]), **restored})
            return cls(**fields | {"result": outcome})
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{folder / RUN} is missing, damaged or of another version ({error}); "
                f"python -m {cls.command} makes a new one"
            ) from error

    def check(self, folder: Path, towers: str) -> None:
        """Refuse what was trained for other towers than those of this fingerprint.

        Args:
            folder: in the run, that the record was read from.
            towers: fingerprint of the run's.

        Raises:
            UsageError: the fingerprints differ; the message has both.
        """
        if self.towers_fingerprint != towers:
            raise UsageError(
                f"{folder} was trained for towers {self.towers_fingerprint}, the run holds other towers, {towers}; "
                f"python -m {self.command} run={folder.parent} trains it again, or remove it"
            )
