"""The description of a dataset in `manifest.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_prep.errors import UsageError
from data_prep.files import fingerprint, read_json, sha256, write_json
from data_prep.splits import SplitOutcome

SCHEMA_VERSION = 1
"""Goes up when older readers would misunderstand the tables."""

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class FileRecord:
    """One file: its name or path, size in bytes, and hex SHA-256."""

    file: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str) -> "FileRecord":
        """Measure a file that exists."""
        return cls(file=name, bytes=path.stat().st_size, sha256=sha256(path))


@dataclass(frozen=True)
class TableRecord(FileRecord):
    """A Parquet file of the dataset and its number of rows."""

    rows: int


@dataclass(frozen=True)
class Manifest:
    """Where a dataset comes from, which rows were left out, and its tables.

    Attributes:
        schema_version: of the tables; see `SCHEMA_VERSION`.
        name: of the dataset, and its folder's.
        created: ISO time, UTC.
        source: the source's configuration.
        files: that the source read.
        has_times: whether events have times.
        rows_read: event rows the source saw.
        bad_rows: rows that made no sense, by reason.
        dropped: sensible rows left out, by reason.
        items_dropped: items left out, by reason.
        statistics: counts and the first and last time.
        split: protocol, cuts and sizes.
        tables: the Parquet files, by table.
        judgements_dropped: judgements left out, by reason.
    """

    schema_version: int
    name: str
    created: str
    source: Mapping[str, Any]
    files: tuple[FileRecord, ...]
    has_times: bool
    rows_read: int
    bad_rows: Mapping[str, int]
    dropped: Mapping[str, int]
    items_dropped: Mapping[str, int]
    statistics: Mapping[str, Any]
    split: SplitOutcome
    tables: Mapping[str, TableRecord]
    judgements_dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits over the tables' contents and the default split; the same data, the same digits."""
        contents = [f"{name}={table.sha256}" for name, table in sorted(self.tables.items())]
        return fingerprint(str(self.schema_version), *contents, self.split.protocol)

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into a dataset's folder."""
        write_json(folder / FILE_NAME, {**asdict(self), "fingerprint": self.fingerprint})

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read a dataset's manifest.

        Raises:
            UsageError: there is none, it is broken, or of another schema version.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise UsageError(f"no dataset at {folder} ({FILE_NAME} is missing); make one with python -m data_prep")
        try:
            value = read_json(path)
            version = value["schema_version"]
            if version != SCHEMA_VERSION:
                raise UsageError(f"{path} has schema version {version}, not {SCHEMA_VERSION}; prepare it again")
            del value["fingerprint"]
            value["files"] = tuple(FileRecord(**record) for record in value["files"])
            value["split"] = SplitOutcome(**value["split"])
            value["tables"] = {name: TableRecord(**record) for name, record in value["tables"].items()}
            return cls(**value)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is broken ({error!r}); prepare the dataset again") from error
