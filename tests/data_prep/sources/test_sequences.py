"""One user a line."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep import Dataset
from data_prep.command import UsageError

Write = Callable[[str, str | bytes], Path]
Prepare = Callable[..., Dataset]

LINES = "1 11 12 13 14\n2 12 13 11\n\n3 13\n4\n"


def test_the_order_of_a_line_is_the_order_of_the_history(write: Write, prepared: Prepare) -> None:
    path = write("Beauty.txt", LINES)
    dataset = prepared("source=sequences", f"source.path={path}", "max_bad_rows=0.2")
    histories = dataset.events.groupby("user_id")["item_id"].agg(list).to_dict()
    assert histories == {"1": ["11", "12", "13", "14"], "2": ["12", "13", "11"], "3": ["13"]}
    assert dataset.events["split_leave_one_out"].tolist() == [0, 0, 1, 2, 0, 1, 2, 0]
    assert dataset.split_column == "split_leave_one_out"
    assert not dataset.manifest.has_times
    assert dataset.manifest.bad_rows["a line without items"] == 1
    assert dataset.items["text"].tolist() == ["11", "12", "13", "14"]


def test_lines_may_lack_the_user_use_commas_and_be_packed(write: Write, prepared: Prepare) -> None:
    path = write("seq.txt.gz", gzip.compress(b"a,b,c\nb, c, a\n"))
    dataset = prepared("source=sequences", f"source.path={path}", "source.first_is_user=false", "source.separator=','")
    histories = dataset.events.groupby("user_id")["item_id"].agg(list).to_dict()
    assert histories == {"1": ["a", "b", "c"], "2": ["b", "c", "a"]}


def test_titles_come_from_an_item_table(write: Write, prepared: Prepare) -> None:
    path = write("seq.txt", "1 11 12 13\n")
    items = write("items.jsonl", '{"id": 11, "name": "Soap"}\n{"id": 12, "name": "Oil"}\n{"id": 13, "name": "Comb"}\n')
    dataset = prepared(
        "source=sequences",
        f"source.path={path}",
        f"source.items={items}",
        "source.item_columns={item_id: id, title: name}",
    )
    assert dataset.items["title"].tolist() == ["Soap", "Oil", "Comb"]


def test_a_cut_in_time_is_refused(write: Write, prepared: Prepare) -> None:
    with pytest.raises(UsageError, match="use split=leave_one_out"):
        prepared("source=sequences", f"source.path={write('seq.txt', LINES)}", "split=temporal")
