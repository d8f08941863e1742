"""Judged pairs of a query and an item become a canonical table, or a clear refusal."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep import Dataset
from data_prep.command import GateFailed, UsageError
from data_prep.report import report
from data_prep.validation import validate

Prepare = Callable[..., Dataset]
Write = Callable[[str, str | bytes], Path]

ITEMS = "sku,name\n" + "".join(f"{number},Thing {number}\n" for number in range(1, 6))

JUDGED = "search,sku,rating\nred thing,1,3\nred thing,2,0\n thing five ,5,2\nred thing,9,3\nred thing,2,1\n"


@pytest.fixture
def shop(write: Write) -> list[str]:
    """Overrides of a shop that nobody has visited, with judged queries."""
    return [
        "source=tabular",
        "name=shop",
        "source.events=null",
        f"source.items={write('items.csv', ITEMS)}",
        "source.item_columns={item_id: sku, title: name}",
        f"source.judgements={write('judged.csv', JUDGED)}",
        "source.judgement_columns={query: search, item_id: sku, grade: rating}",
    ]


def test_a_catalogue_and_judged_queries_are_a_dataset(prepared: Prepare, shop: list[str]) -> None:
    dataset = Dataset.open(prepared(*shop).path)
    assert dataset.events.empty
    assert dataset.split_column in dataset.events
    assert len(dataset.items) == 5
    judged = dataset.judgements
    assert judged is not None
    assert judged.to_numpy().tolist() == [["red thing", "1", 3], ["thing five", "5", 2], ["red thing", "2", 1]]
    assert judged.dtypes.astype(str).to_dict() == {"query": "str", "item_id": "str", "grade": "int64"}


def test_what_was_left_out_is_counted_in_manifest_and_report(
    prepared: Prepare, shop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = prepared(*shop)
    manifest = json.loads((dataset.path / "manifest.json").read_text())
    assert manifest["judgements_dropped"] == {
        "no query": 0,
        "no item id": 0,
        "grade is not a whole number from 0 up": 0,
        "item not in the item table": 1,
        "judged again in a later row": 1,
    }
    assert manifest["tables"]["judgements"]["rows"] == 3
    assert manifest["statistics"]["judged_queries"] == 2
    assert manifest["statistics"]["grades"] == {"3": 1, "2": 1, "1": 1}
    report(dataset)
    shown = capsys.readouterr().out
    assert "2 queries, 1 of grade 3, 1 of grade 2, 1 of grade 1" in " ".join(shown.split())
    assert "1: item not in the item table" in shown


def test_judgements_stand_beside_events_and_change_the_fingerprint(
    prepared: Prepare, shop: list[str], write: Write
) -> None:
    days = "user_id,sku,timestamp\n" + "".join(
        f"u{user},{item},2024-01-{4 * user + item:02d}\n" for user in range(5) for item in range(1, 6)
    )
    log = f"source.events={write('log.csv', days)}"
    columns = "source.event_columns.item_id=sku"
    both = prepared(*shop, log, columns)
    assert len(both.events) == 25
    assert both.judgements is not None
    alone = prepared(*shop, log, columns, "source.judgements=null")
    assert alone.judgements is None
    assert alone.fingerprint != both.fingerprint


@pytest.mark.parametrize("row", [",1,3", "red,,3", "red,1,", "red,1,good", "red,1,-1", "red,1,1.5"])
def test_rows_that_make_no_sense_are_counted_and_too_many_are_refused(
    prepared: Prepare, shop: list[str], write: Write, row: str
) -> None:
    rows = f"{JUDGED}{row}\n"
    judged = f"source.judgements={write('odd.csv', rows)}"
    dataset = prepared(*shop, judged, "max_bad_rows=0.2")
    assert dataset.judgements is not None and len(dataset.judgements) == 3
    assert sum(dataset.manifest.judgements_dropped.values()) == 3
    with pytest.raises(GateFailed, match=r"1 of 6 judgements are bad, more than max_bad_rows=0\.01: 1 (no|grade)"):
        prepared(*shop, judged)


def test_judgements_of_which_nothing_is_left_are_refused(prepared: Prepare, shop: list[str], write: Write) -> None:
    rows = "search,sku,rating\nred,77,1\n"
    judged = f"source.judgements={write('gone.csv', rows)}"
    with pytest.raises(GateFailed, match=r"no judgements are left of 1 .*1 item not in the item table"):
        prepared(*shop, judged)


def test_a_wrong_mapping_and_a_shop_of_nothing_are_named(prepared: Prepare, shop: list[str]) -> None:
    with pytest.raises(UsageError, match=r"which column holds the grade\? Set source\.judgement_columns\.grade to one"):
        prepared(*shop, "source.judgement_columns.grade=null")
    with pytest.raises(UsageError, match=r"source\.events is null: a shop without events needs"):
        prepared(*shop, "source.judgements=null")


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        (("red", "z", 1), r"judgements\.item_id must be 'in the item table', .*row 1: 'z'"),
        (("red", "y", -1), r"judgements\.grade must be '.*0\)', 1 times it is not: row 1: -1"),
        ((" ", "y", 1), r"judgements\.query must be 'not empty'"),
        (("red", "x", 1), r"judgements.*multiple_fields_uniqueness"),
    ],
)
def test_a_broken_rule_is_named(judged: tuple[str, str, int], message: str) -> None:
    items = pd.DataFrame({"item_id": ["x", "y"], "title": ["X", "Y"], "text": ["X", "Y"]})
    events = pd.DataFrame(
        {
            "user_id": pd.Series([], dtype="str"),
            "item_id": pd.Series([], dtype="str"),
            "timestamp": pd.Series([], dtype="datetime64[us, UTC]"),
            "event": pd.Categorical([]),
            "split_leave_one_out": pd.Series([], dtype="int8"),
        }
    )
    judgements = pd.DataFrame([("red", "x", 1), judged], columns=["query", "item_id", "grade"])
    with pytest.raises(GateFailed, match=message):
        validate(items, events, None, has_times=False, judgements=judgements)
