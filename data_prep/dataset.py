"""A prepared dataset: canonical tables in a folder, described and guarded by its manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.columns import Columns
from data_prep.errors import UsageError
from data_prep.files import new_directory, require_space, sha256
from data_prep.manifest import Manifest, TableRecord


@dataclass(frozen=True)
class Dataset:
    """Tables that `python -m data_prep` leaves in `artifacts/data/<name>/`.

    Attributes:
        path: the folder.
        manifest: of `manifest.json`.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open a dataset after checking the checksum of every table.

        Raises:
            UsageError: there is no dataset, it is of another schema version, or a table was changed.
        """
        path = Path(path)
        manifest = Manifest.read(path)
        for table in manifest.tables.values():
            file = path / table.file
            if not file.is_file():
                raise UsageError(f"{file} is missing; prepare the dataset again")
            if file.stat().st_size != table.bytes:
                size = file.stat().st_size
                raise UsageError(f"{file} has {size:,} bytes, its manifest says {table.bytes:,}; prepare again")
            if (digest := sha256(file)) != table.sha256:
                raise UsageError(f"{file} has SHA-256 {digest}, the manifest says {table.sha256}; prepare it again")
        return cls(path, manifest)

    @cached_property
    def items(self) -> pd.DataFrame:
        """`item_id` (unique), `title`, `text`, and further columns of the source, shape [items, columns]."""
        return self._read("items")

    @cached_property
    def events(self) -> pd.DataFrame:
        """Events by user, then time, ties in source order, with the split columns, shape [events, columns]."""
        return self._read("events")

    @cached_property
    def users(self) -> pd.DataFrame | None:
        """`user_id` (unique) and attributes, where the source knew any."""
        return self._read("users") if "users" in self.manifest.tables else None

    @cached_property
    def judgements(self) -> pd.DataFrame | None:
        """`query`, `item_id`, `grade` (0 and up, higher is better), one row a pair, where somebody judged any."""
        return self._read("judgements") if "judgements" in self.manifest.tables else None

    @property
    def fingerprint(self) -> str:
        """Stands for the tables' contents and the default split."""
        return self.manifest.fingerprint

    @property
    def split_column(self) -> str:
        """The events' column that holds the default protocol's `Split` values."""
        return self.manifest.split.column

    def _read(self, table: str) -> pd.DataFrame:
        return pd.read_parquet(self.path / self.manifest.tables[table].file)


def sort_events(events: pd.DataFrame) -> pd.DataFrame:
    """Events by user, then time; ties, and everything where there are no times, in source order."""
    users, _ = pd.factorize(events[Columns.USER_ID], sort=True)
    times = events[Columns.TIMESTAMP].dt.tz_localize(None).to_numpy().view(np.int64)
    return events.take(np.lexsort((times, users))).reset_index(drop=True)


def write_tables(
    target: Path, tables: dict[str, pd.DataFrame], describe: Callable[[dict[str, TableRecord]], Manifest]
) -> Dataset:
    """Write tables and their manifest as one folder that appears at once.

    Args:
        target: the dataset's folder; what is there is replaced.
        tables: by name.
        describe: makes the manifest once the files and their checksums are known.

    Raises:
        GateFailed: the disk has no room.
    """
    require_space(target, sum(int(frame.memory_usage(deep=True).sum()) for frame in tables.values()))
    with new_directory(target) as folder:
        records = {}
        for name, frame in tables.items():
            file = folder / f"{name}.parquet"
            frame.to_parquet(file, index=False, compression="zstd")
            records[name] = TableRecord(file=file.name, bytes=file.stat().st_size, sha256=sha256(file), rows=len(frame))
        manifest = describe(records)
        manifest.write(folder)
    return Dataset(target, manifest)
