"""Logs of one's own, in the layouts people have."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep import Dataset
from data_prep.command import UsageError, instantiate, load_config
from data_prep.prepare import PrepareConfig
from data_prep.tables import Tables

Write = Callable[[str, str | bytes], Path]
Prepare = Callable[..., Dataset]


def load(*overrides: str) -> Tables:
    config = load_config(PrepareConfig, "prepare", ["source=tabular", *(f"source.{text}" for text in overrides)])
    loaded = instantiate(config.source).load()
    assert isinstance(loaded, Tables)
    return loaded


def test_columns_types_and_times_are_mapped(write: Write) -> None:
    log = write(
        "events.csv",
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433224214164,992329,transaction,248676,4000\n"
        "1433221999827,111016,wishlist,318965,\n",
    )
    tables = load(
        f"events={log}",
        "event_columns={user_id: visitorid, item_id: itemid}",
        "event_types={view: view, transaction: purchase}",
    )
    assert tables.events[["user_id", "item_id", "event"]].to_numpy().tolist() == [
        ["257597", "355908", "view"],
        ["992329", "248676", "purchase"],
    ]
    assert tables.events["timestamp"][0] == pd.Timestamp("2015-06-02 05:02:12.117", tz="UTC")
    assert tables.dropped == {"event type not in event_types": 1}


def test_an_item_table_is_rendered_by_the_template_and_keeps_its_other_columns(write: Write) -> None:
    log = write("events.csv", "user_id,item_id,timestamp\na,1,2024-01-01\n")
    items = write(
        "goods.tsv", "sku\tname\tcolour\tmaker\tcost\tweight\n1\tKettle\tred\tBodum\t£9.50\t2\n2\tCup\t\tIkea\t\t\n"
    )
    tables = load(
        f"events={log}",
        f"items={items}",
        "item_columns={item_id: sku, title: name, brand: maker, price: cost}",
        "text='{title}, {colour}, by {maker}'",
    )
    assert tables.items["text"].tolist() == ["Kettle, red, by Bodum", "Cup, by Ikea"]
    assert tables.items["price"].fillna(-1).tolist() == [9.5, -1]
    assert set(tables.items.columns) == {"item_id", "title", "text", "brand", "price", "colour", "weight"}


def test_nested_and_mixed_values_of_json_items_become_text_and_vectors_stay(write: Write, prepared: Prepare) -> None:
    log = write("log.csv", "user_id,item_id,timestamp\n" + "".join(f"a,{n},2024-01-{n:02d}\n" for n in range(1, 21)))
    items = write(
        "items.jsonl",
        "".join(
            json.dumps(
                {"item_id": n, "title": f"T{n}", "tags": ["a", n], "size": n if n % 2 else "big", "image": [n, 0.5]}
            )
            + "\n"
            for n in range(1, 21)
        ),
    )
    files = [f"source.events={log}", f"source.items={items}"]
    dataset = prepared("source=tabular", *files, "source.text='{title} {tags}'")
    first, second = dataset.items.iloc[0], dataset.items.iloc[1]
    assert first["text"] == "T1 a, 1"
    assert (first["tags"], first["size"], second["size"]) == ("a, 1", "1", "big")
    assert list(first["image"]) == [1.0, 0.5]


def test_long_ids_keep_every_digit_where_some_are_missing(write: Write) -> None:
    log = write(
        "log.jsonl", '{"user_id": 1234567890123456789, "item_id": 1, "timestamp": 1709294400}\n{"item_id": 2}\n'
    )
    assert load(f"events={log}").events["user_id"].fillna("").tolist() == ["1234567890123456789", ""]


def test_a_log_that_describes_its_items_needs_no_item_table(write: Write) -> None:
    log = write(
        "2019-Oct.csv",
        "event_time,event_type,product_id,category_code,brand,price,user_id\n"
        "2019-10-01 00:00:00 UTC,view,44600062,,shiseido,35.79,541312140\n"
        "2019-10-01 00:00:01 UTC,cart,3900821,appliances.environment.water_heater,aqua,33.20,554748717\n"
        "2019-10-02 00:00:01 UTC,purchase,3900821,,aqua,30.20,554748717\n",
    )
    tables = load(
        f"events={log}",
        "event_columns={timestamp: event_time, event: event_type, item_id: product_id}",
        "item_columns.category=category_code",
        "text='{brand} {category}'",
    )
    assert tables.items.set_index("item_id")["text"].to_dict() == {
        "44600062": "shiseido",
        "3900821": "aqua appliances.environment.water_heater",
    }
    assert tables.items.set_index("item_id")["price"].to_dict() == {"44600062": 35.79, "3900821": 30.2}
    assert tables.events["event"].tolist() == ["view", "cart", "purchase"]
    assert tables.events["timestamp"][2] == pd.Timestamp("2019-10-02 00:00:01", tz="UTC")


def test_a_log_without_header_takes_names(write: Write) -> None:
    log = write("UserBehavior.csv", "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,buy,1511561733\n")
    tables = load(
        f"events={log}",
        "event_header=[user_id, item_id, category, event, timestamp]",
        "event_types={pv: view, buy: purchase}",
    )
    assert tables.events["event"].tolist() == ["view", "purchase"]
    assert tables.items["category"].tolist() == ["2520377", "2520771"]
    assert tables.events["timestamp"].dt.year.tolist() == [2017, 2017]


def test_json_lines_and_parquet_read_alike(write: Write, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user_id": [1, 2],
            "item_id": [7, 8],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "query": ["tea", None],
            "rating": [4.5, None],
            "position": [1, 0],
            "propensity": [0.5, 1.0],
        }
    )
    frame.to_parquet(tmp_path / "log.parquet")
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True, date_format="iso")
    parquet, lines = (load(f"events={tmp_path / name}").events for name in ("log.parquet", "log.jsonl"))
    pd.testing.assert_frame_equal(parquet, lines)
    assert parquet["position"].tolist() == [1, 0]
    assert parquet["query"].isna().tolist() == [False, True]


def test_an_order_column_gives_the_order_where_there_are_no_times(write: Write) -> None:
    log = write("log.csv", "user_id,item_id,seq\na,third,10\na,first,1\na,second,9\n")
    tables = load(f"events={log}", "event_columns.order=seq")
    assert tables.events["item_id"].tolist() == ["first", "second", "third"]
    assert not tables.has_times
    assert tables.events["timestamp"].isna().all()


def test_times_in_a_zone_and_a_pattern_of_ones_own(write: Write) -> None:
    log = write("log.csv", "user_id,item_id,timestamp\na,x,01.07.2024 14:00\n")
    tables = load(f"events={log}", "time_format='%d.%m.%Y %H:%M'", "time_zone=Europe/Berlin")
    assert tables.events["timestamp"][0] == pd.Timestamp("2024-07-01 12:00", tz="UTC")


def test_users_keep_their_attributes(write: Write, prepared: Prepare) -> None:
    log = write("log.csv", "user_id,item_id,timestamp\n" + "".join(f"a,{n},2024-01-{n:02d}\n" for n in range(1, 21)))
    users = write("users.csv", "id,age\na,30\na,31\nb,20\n")
    dataset = prepared(
        "source=tabular", f"source.events={log}", f"source.users={users}", "source.user_columns.user_id=id"
    )
    assert dataset.users is not None
    assert dataset.users.to_dict("list") == {"user_id": ["a"], "age": ["30"]}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"which column holds the user_id\? Set source\.event_columns\.user_id to one of who, what, when"),
        (["event_columns.user_id=whom"], r"source\.event_columns\.user_id=whom: no such column; there are who, what"),
        (["event_columns.user_id=who"], r"which column holds the item_id\?"),
        (["event_columns={user_id: who, item_id: what}", "items=LOG"], r"source\.item_columns\.item_id to one of"),
        (["event_columns={user_id: who, item_id: what}", "text='{colour}'"], "names 'colour'"),
    ],
)
def test_a_mapping_that_does_not_fit_names_the_columns_there_are(
    write: Write, overrides: list[str], message: str
) -> None:
    log = write("log.csv", "who,what,when\na,x,2024-01-01\n")
    with pytest.raises(UsageError, match=message):
        load(f"events={log}", *(text.replace("LOG", str(log)) for text in overrides))


def test_an_item_table_without_titles_asks_for_one_or_for_a_template(write: Write) -> None:
    log = write("log.csv", "user_id,item_id,timestamp\na,1,2024-01-01\n")
    items = write("items.csv", "item_id,name\n1,Kettle\n")
    with pytest.raises(UsageError, match="which column holds the title"):
        load(f"events={log}", f"items={items}")
    assert load(f"events={log}", f"items={items}", "text='{name}'").items["title"].tolist() == ["Kettle"]
