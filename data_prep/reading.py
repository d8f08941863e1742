"""Reading files of logs as they are: CSV, TSV, JSON lines, Parquet; plain or packed; one or many."""

import ast
import csv
import glob
import io
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from data_prep.errors import GateFailed, UsageError
from data_prep.progress import track

NULLS = ["", "NULL", "null", "NaN", "nan", "None", "\\N"]
"""Texts that mean "no value" in delimited files."""

EXAMPLES = 3
"""Bad rows kept to be shown."""

JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}

PACKED_SUFFIXES = {".gz", ".bz2", ".zst"}

LOOKED_AT = 100
"""JSON lines looked at to learn the columns."""

PARQUET_SUFFIXES = {".parquet", ".pq"}


@dataclass(frozen=True)
class Reading:
    """A table as the files have it.

    Attributes:
        frame: text columns from delimited files, Python objects from JSON lines, Parquet's own types.
        files: that were read, sorted.
        bad_rows: lines that are no rows (ragged, not JSON).
        examples: the first of them.
    """

    frame: pd.DataFrame
    files: tuple[Path, ...]
    bad_rows: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How delimited text is laid out.

    Attributes:
        delimiter: one character; None looks at the first line.
        encoding: of text files; a byte-order mark is skipped.
        header: column names of files that have no header line; None reads them from the first line.
        quotes: whether fields may be wrapped in double quotes.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    header: Sequence[str] | None = None
    quotes: bool = True


def find_files(pattern: str) -> tuple[Path, ...]:
    """The files a path or a glob names, sorted.

    Raises:
        UsageError: there are none.
    """
    paths = tuple(sorted(Path(name) for name in glob.glob(pattern, recursive=True)))  # noqa: PTH207 - any root
    paths = tuple(path for path in paths if path.is_file())
    if not paths:
        raise UsageError(f"no file at '{pattern}' (in {Path.cwd()})")
    return paths


def column_names(pattern: str, layout: Layout) -> list[str]:
    """The columns of the first file a path or a glob names, without reading the rest of it.

    Raises:
        UsageError: no such file, or two columns share a name. GateFailed: it cannot be read.
    """
    path = find_files(pattern)[0]
    kind = _suffix(path)
    if kind in PARQUET_SUFFIXES:
        return list(_parquet_names(path))
    if kind in JSON_SUFFIXES:
        with open_text(path, layout.encoding) as file:
            objects = [_json_object(line) or {} for line in itertools.islice(file, LOOKED_AT)]
        if not any(objects):
            raise GateFailed(f"{path} holds no JSON lines: expected one object a line, not an array over many")
        return list(dict.fromkeys(name for value in objects for name in value))
    return _delimited_names(path, layout)[0]


def read_table(pattern: str, layout: Layout, columns: Collection[str] | None = None) -> Reading:
    """Read a file, or all files of a glob as one table, each by its suffix.

    Args:
        pattern: path or glob; `.jsonl`, `.parquet`, else delimited text; text also as `.gz`, `.bz2`, `.zst`.
        layout: of delimited text.
        columns: columns to keep of those that exist; None keeps all.

    Raises:
        UsageError: no such file. GateFailed: a file cannot be read at all.
    """
    files = find_files(pattern)
    readings = [_read_file(path, layout, columns) for path in track(files, "Reading")]
    return Reading(
        frame=pd.concat([reading.frame for reading in readings], ignore_index=True),
        files=files,
        bad_rows=sum(reading.bad_rows for reading in readings),
        examples=tuple(line for reading in readings for line in reading.examples)[:EXAMPLES],
    )


def read_json_lines(
    files: Sequence[Path],
    pick: Callable[[dict[str, Any]], dict[str, Any] | None],
    encoding: str = "utf-8",
) -> Reading:
    """Read JSON lines, keeping only the values that are needed.

    Args:
        files: plain or gzipped; lines may be Python literals, as in the 2014 Amazon dumps.
        pick: from a line's object to the record to keep, None to skip it.
        encoding: of the files.
    """
    records: list[dict[str, Any]] = []
    examples: list[str] = []
    bad = 0
    for path in files:
        for number, line in enumerate(track(_lines(path, encoding), f"Reading {path.name}"), start=1):
            if not line.strip():
                continue
            value = _json_object(line)
            if value is None:
                bad += 1
                if len(examples) < EXAMPLES:
                    examples.append(f"not a JSON object: {path}:{number}: {line.strip()[:80]}")
            elif (record := pick(value)) is not None:
                records.append(record)
    return Reading(pd.DataFrame(records, dtype=object), tuple(files), bad, tuple(examples))


def read_delimited(path: Path, layout: Layout, columns: Collection[str] | None = None) -> Reading:
    """Read one delimited text file, every value as text, counting the ragged rows.

    Raises:
        GateFailed: the file is empty or not in the encoding.
        UsageError: two columns share a name.
    """
    names, delimiter = _delimited_names(path, layout)
    ragged = _RaggedRows(path)
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            table = pyarrow.csv.read_csv(
                stream,
                pyarrow.csv.ReadOptions(
                    column_names=names,
                    skip_rows=0 if layout.header else 1,
                    encoding=layout.encoding,
                    block_size=1 << 24,
                ),
                pyarrow.csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if layout.quotes else False,
                    newlines_in_values=layout.quotes,
                    invalid_row_handler=ragged,
                ),
                pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=NULLS,
                    include_columns=[name for name in names if columns is None or name in columns],
                ),
            )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise GateFailed(f"{path} cannot be read as {layout.encoding} text: {error}") from error
    return Reading(table.to_pandas(), (path,), ragged.count, tuple(ragged.examples))


def open_text(path: Path, encoding: str = "utf-8") -> io.TextIOWrapper:
    """A text file, unpacked where its name ends in `.gz`, `.bz2` or `.zst`; a byte-order mark is skipped."""
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    stream = pa.input_stream(str(path), compression="detect")
    return io.TextIOWrapper(stream, encoding=encoding, errors="replace")


class _RaggedRows:
    """Counts and skips rows with too many or too few fields, lines swallowed by a stray quote included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.examples: list[str] = []

    def __call__(self, row: pyarrow.csv.InvalidRow) -> str:
        self.count += 1 + row.text.strip().count("\n")
        if len(self.examples) < EXAMPLES:
            fields = f"{row.actual_columns} fields, not {row.expected_columns}"
            self.examples.append(f"{fields}: {self.path}: {row.text.strip()[:80]}")
        return "skip"


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in PACKED_SUFFIXES else path.suffix


def _read_file(path: Path, layout: Layout, columns: Collection[str] | None) -> Reading:
    kind = _suffix(path)
    if kind in PARQUET_SUFFIXES:
        names = [name for name in _parquet_names(path) if columns is None or name in columns]
        return Reading(pd.read_parquet(path, columns=names).reset_index(drop=True), (path,))
    if kind in JSON_SUFFIXES:
        if columns is None:
            return read_json_lines([path], lambda value: value, layout.encoding)
        return read_json_lines(
            [path], lambda value: {name: value[name] for name in columns if name in value}, layout.encoding
        )
    return read_delimited(path, layout, columns)


def _parquet_names(path: Path) -> list[str]:
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise GateFailed(f"{path} cannot be read as Parquet: {error}") from error


def _delimited_names(path: Path, layout: Layout) -> tuple[list[str], str]:
    """The column names and the delimiter of a delimited file."""
    first = _first_line(path, layout.encoding)
    delimiter = layout.delimiter or _guess_delimiter(first)
    if layout.header:
        return list(layout.header), delimiter
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: two columns have the same name: {', '.join(names)}")
    return names, delimiter


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with open_text(path, encoding) as file:
        yield from file


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        try:
            value = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _first_line(path: Path, encoding: str) -> str:
    with open_text(path, encoding) as file:
        line = file.readline().rstrip("\r\n")
    if not line.strip():
        raise GateFailed(f"{path} is empty, or its first line is")
    return line


def _guess_delimiter(line: str) -> str:
    return max(",\t;|", key=line.count)
