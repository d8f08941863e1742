"""From our column names to those of a user's own files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_prep.errors import UsageError


@dataclass(frozen=True)
class ColumnMap:
    """Which of a file's columns stands for which of ours.

    Attributes:
        available: the file's columns.
        names: our column -> theirs; None or absent means ours, where the file has it.
        known: our columns that may be mapped.
        option: the config key of the mapping, for messages: "source.event_columns".

    Raises:
        UsageError: a column is mapped that is not ours, or to one the file does not have.
    """

    available: Sequence[str]
    names: Mapping[str, str | None]
    known: Sequence[str]
    option: str

    def __post_init__(self) -> None:
        for ours, theirs in self.names.items():
            if ours not in self.known:
                raise UsageError(f"{self.option}: unknown key '{ours}'; accepted keys: {', '.join(self.known)}")
            if theirs is not None and theirs not in self.available:
                raise UsageError(f"{self.option}.{ours}={theirs}: no such column; there are {self._listed()}")

    def find(self, ours: str) -> str | None:
        """Their column for ours, or None where there is none."""
        name = self.names.get(ours) or ours
        return name if name in self.available else None

    def need(self, ours: str) -> str:
        """Their column for ours; `UsageError` where there is none."""
        name = self.find(ours)
        if name is None:
            raise UsageError(f"which column holds the {ours}? Set {self.option}.{ours} to one of {self._listed()}")
        return name

    def present(self) -> dict[str, str]:
        """All of our columns that the file has, with their names there."""
        return {ours: name for ours in self.known if (name := self.find(ours)) is not None}

    def _listed(self) -> str:
        return ", ".join(name if name.isprintable() else ascii(name) for name in self.available)
