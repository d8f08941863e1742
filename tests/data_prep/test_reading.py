"""Files as they are found."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep.command import GateFailed, UsageError
from data_prep.reading import Layout, column_names, read_json_lines, read_table

Write = Callable[[str, str | bytes], Path]

ROWS = [["a", "1"], ["b", "2"]]


def rows(path: Path | str, layout: Layout | None = None) -> list[list[str]]:
    return read_table(str(path), layout or Layout()).frame.to_numpy().tolist()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", "user,item\na,1\nb,2\n"),
        ("mark.csv", "\ufeffuser,item\na,1\nb,2\n"),
        ("windows.csv", "\ufeffuser,item\r\na,1\r\nb,2\r\n"),
        ("no_end.csv", "user,item\na,1\nb,2"),
        ("blank_lines.csv", "user,item\n\na,1\n\nb,2\n\n"),
        ("semicolons.csv", "user;item\na;1\nb;2\n"),
        ("tabs.tsv", "user\titem\na\t1\nb\t2\n"),
        ("bars.txt", "user|item\na|1\nb|2\n"),
        ("packed.csv.gz", gzip.compress(b"user,item\na,1\nb,2\n", mtime=0)),
        ("packed.csv.bz2", bz2.compress(b"user,item\na,1\nb,2\n")),
        ("quoted.csv", '"user","item"\n"a","1"\n"b",2\n'),
        ("lines.jsonl", '{"user": "a", "item": "1"}\n{"user": "b", "item": "2"}\n'),
        ("mark.jsonl", '\ufeff{"user": "a", "item": "1"}\r\n{"user": "b", "item": "2"}\r\n'),
        ("lines.jsonl.gz", gzip.compress(b'{"user": "a", "item": "1"}\n{"user": "b", "item": "2"}', mtime=0)),
    ],
)
def test_the_same_table_comes_out_of_every_format(write: Write, name: str, content: str | bytes) -> None:
    path = write(name, content)
    assert column_names(str(path), Layout()) == ["user", "item"]
    assert rows(path) == ROWS


def test_parquet_keeps_its_types_and_only_wanted_columns_are_read(tmp_path: Path) -> None:
    pd.DataFrame({"user": ["a"], "item": [1], "more": [2.5]}).to_parquet(tmp_path / "a.parquet")
    found = read_table(str(tmp_path / "a.parquet"), Layout(), {"user", "item", "absent"}).frame
    assert found.to_dict("list") == {"user": ["a"], "item": [1]}


def test_many_files_are_one_table_in_the_order_of_their_names(write: Write, tmp_path: Path) -> None:
    write("day-2.csv", "user,item\nb,2\n")
    write("day-1.csv", "user,item\na,1\n")
    reading = read_table(str(tmp_path / "day-*.csv"), Layout())
    assert reading.frame.to_numpy().tolist() == ROWS
    assert [path.name for path in reading.files] == ["day-1.csv", "day-2.csv"]


def test_a_file_without_a_header_line_takes_given_names(write: Write) -> None:
    path = write("log.csv", "a,1\nb,2\n")
    reading = read_table(str(path), Layout(header=["user", "item"]))
    assert reading.frame.columns.tolist() == ["user", "item"]
    assert reading.frame.to_numpy().tolist() == ROWS


def test_ragged_rows_are_left_out_counted_and_shown(write: Write) -> None:
    path = write("log.csv", "user,item\na,1\nb\nc,3,extra\nb,2\n")
    reading = read_table(str(path), Layout())
    assert reading.frame.to_numpy().tolist() == ROWS
    assert reading.bad_rows == 2
    assert "1 fields, not 2" in reading.examples[0] and "c,3,extra" in reading.examples[1]


def test_every_line_that_a_stray_quote_swallows_is_counted(write: Write) -> None:
    path = write("log.csv", 'user,item\na,1\n"oops,2\nb,2\nc,3\nd",4,5\nb,2\n')
    reading = read_table(str(path), Layout())
    assert reading.frame.to_numpy().tolist() == ROWS
    assert reading.bad_rows == 4


def test_quotes_may_be_plain_letters(write: Write) -> None:
    path = write("log.tsv", 'user\titem\na\t5" nail\n')
    assert rows(path, Layout(quotes=False)) == [["a", '5" nail']]


def test_a_quoted_field_may_hold_delimiters_and_line_ends(write: Write) -> None:
    assert rows(write("log.csv", 'user,item\na,"x, y\nz"\n')) == [["a", "x, y\nz"]]


def test_words_for_nothing_are_null(write: Write) -> None:
    frame = read_table(str(write("log.csv", "user,item\na,\nNULL,1\nnan,\\N\n")), Layout()).frame
    assert frame.isna().to_numpy().tolist() == [[False, True], [True, False], [True, True]]


def test_lines_that_are_no_json_objects_are_counted_and_python_literals_are_read(write: Write) -> None:
    path = write("a.jsonl", "{'user': 'a', 'item': '1'}\nnonsense\n[1]\n\n" + json.dumps({"user": "b"}))
    reading = read_json_lines([path], lambda value: value)
    assert reading.frame["user"].tolist() == ["a", "b"]
    assert reading.bad_rows == 2
    assert "a.jsonl:2: nonsense" in reading.examples[0]


def test_a_missing_file_is_a_usage_error_naming_it() -> None:
    with pytest.raises(UsageError, match=r"no file at '/nowhere/\*\.csv'"):
        read_table("/nowhere/*.csv", Layout())


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("empty.csv", "", GateFailed, "empty"),
        ("latin.csv", "user,item\nM\xfcller,1\n".encode("latin-1"), GateFailed, "cannot be read as utf-8"),
        ("twice.csv", "user,user\na,1\n", UsageError, "same name"),
        ("bad.parquet", b"PAR1 not really", GateFailed, "as Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    write: Write, name: str, content: str | bytes, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_table(str(write(name, content)), Layout())


def test_a_json_array_is_told_from_json_lines(write: Write) -> None:
    with pytest.raises(GateFailed, match="one object a line"):
        column_names(str(write("array.json", '[{"user": 1},\n{"user": 2}]')), Layout())


def test_other_encodings_are_read_when_named(write: Write) -> None:
    path = write("latin.csv", "user,item\nM\xfcller,1\n".encode("latin-1"))
    assert rows(path, Layout(encoding="latin-1")) == [["Müller", "1"]]
