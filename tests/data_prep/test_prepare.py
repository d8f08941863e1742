"""From odd logs to a dataset, or to a clear refusal."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep import Dataset
from data_prep.command import GateFailed, UsageError
from data_prep.report import report

Prepare = Callable[..., Dataset]
Write = Callable[[str, str | bytes], Path]

GOOD = [f"u{user},i{item},2024-01-{1 + (3 * user + item) % 28:02d} 10:00" for user in range(8) for item in range(6)]

ODD = ["u1", "u2,i2,2024-01-05,extra", ",i1,2024-01-05", "u1,,2024-01-05", "u1,i1,yesterday", "u1,i1,2999-01-01"]


def lines(rows: list[str], end: str = "\n", mark: str = "") -> bytes:
    return (mark + end.join(["user_id,item_id,timestamp", *rows]) + end).encode()


def test_odd_rows_are_dropped_and_counted(prepared: Prepare, write: Write) -> None:
    log = write("log.csv", lines(GOOD + ODD, "\r\n", "\ufeff"))
    dataset = prepared("source=tabular", f"source.events={log}", "max_bad_rows=0.2")
    manifest = dataset.manifest
    assert len(dataset.events) == len(GOOD)
    assert manifest.rows_read == len(GOOD) + len(ODD)
    assert manifest.bad_rows == {
        "not a row": 2,
        "no user id": 1,
        "no item id": 1,
        "no readable time": 1,
        "before 1990-01-01": 0,
        "in the future": 1,
    }


def test_too_many_odd_rows_are_refused_and_nothing_is_written(prepared: Prepare, write: Write, tmp_path: Path) -> None:
    log = write("log.csv", lines(GOOD + ODD))
    with pytest.raises(GateFailed, match=r"6 of 54 rows are bad \(11\.1%\), more than max_bad_rows=0\.01"):
        prepared("source=tabular", "name=shop", f"source.events={log}")
    assert not (tmp_path / "artifacts" / "data" / "shop").exists()


def test_a_refused_preparation_leaves_the_earlier_dataset(prepared: Prepare, write: Write) -> None:
    before = prepared("source=tabular", "name=shop", f"source.events={write('log.csv', lines(GOOD))}")
    with pytest.raises(GateFailed):
        prepared("source=tabular", "name=shop", f"source.events={write('log.csv', lines(ODD))}")
    assert Dataset.open(before.path).fingerprint == before.fingerprint


def test_logs_of_which_nothing_is_left_are_refused_with_the_reasons(prepared: Prepare, write: Write) -> None:
    log = write("log.csv", lines(GOOD))
    with pytest.raises(GateFailed, match=r"no events are left of 48 rows .*outside the core"):
        prepared("source=tabular", f"source.events={log}", "cleaning.core.user_events=100")
    with pytest.raises(GateFailed, match="no events are left of 0 rows"):
        prepared("source=tabular", f"source.events={write('empty.csv', lines([]))}")


def test_rules_can_be_switched_off_and_on(prepared: Prepare, write: Write) -> None:
    log = f"source.events={write('log.csv', lines(GOOD + GOOD + ['u1,i1,2024-01-28 11:00']))}"
    assert len(prepared("source=tabular", log).events) == 49
    assert len(prepared("source=tabular", log, "cleaning.duplicates=null").events) == 97
    assert len(prepared("source=tabular", log, "cleaning=first_events").events) == 48


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_a_name_that_is_no_folder_name_is_refused(prepared: Prepare, write: Write, name: str) -> None:
    with pytest.raises(UsageError, match="plain folder name"):
        prepared("source=tabular", f"name='{name}'", f"source.events={write('log.csv', lines(GOOD))}")


def test_items_first_seen_after_the_cut_stay_in_the_catalogue(prepared: Prepare, write: Write) -> None:
    log = write("log.csv", lines([*GOOD, "u1,brandnew,2024-02-01"]))
    dataset = prepared("source=tabular", f"source.events={log}")
    events = dataset.events.set_index("item_id")
    assert events.loc["brandnew", "split_temporal"] == 2
    assert "brandnew" in dataset.items["item_id"].tolist()


def test_the_manifest_says_where_the_data_comes_from(prepared: Prepare, write: Write) -> None:
    log = write("log.csv", lines(GOOD))
    manifest = json.loads((prepared("source=tabular", f"source.events={log}").path / "manifest.json").read_text())
    assert manifest["files"][0]["file"] == str(log)
    assert manifest["files"][0]["bytes"] == log.stat().st_size
    assert manifest["source"]["events"] == str(log)
    assert manifest["tables"]["events"]["rows"] == len(GOOD)
    assert manifest["split"]["protocol"] == "temporal"
    assert manifest["statistics"]["users"] == 8


def test_the_outcome_is_shown_with_any_title(
    prepared: Prepare, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write("log.csv", lines(GOOD + ODD))
    items = write("items.csv", "item_id,title\n" + "".join(f"i{item},[/red] Käse {item}\n" for item in range(6)))
    report(prepared("source=tabular", f"source.events={log}", f"source.items={items}", "max_bad_rows=1"))
    shown = capsys.readouterr().out
    title = "rows read, left out and kept"
    for words in (title, "no readable time", "[/red] Käse", "temporal *", "leave_one_out", "48"):
        assert words in shown


def test_three_hundred_thousand_events_take_seconds(prepared: Prepare, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    size = 300_000
    pd.DataFrame(
        {
            "user_id": random.integers(0, 20_000, size),
            "item_id": random.zipf(1.3, size) % 50_000,
            "timestamp": 1_700_000_000 + random.integers(0, 10**7, size),
        }
    ).to_csv(tmp_path / "log.csv", index=False)
    overrides = ["cleaning.core.user_events=5", "cleaning.core.item_events=5"]
    dataset = prepared("source=tabular", f"source.events={tmp_path / 'log.csv'}", *overrides)
    per_user, per_item = (dataset.events[column].value_counts().min() for column in ("user_id", "item_id"))
    assert per_user >= 5 and per_item >= 5
