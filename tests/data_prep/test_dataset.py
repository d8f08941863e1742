"""A prepared dataset guards itself."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_prep import Columns, Dataset
from data_prep.command import UsageError

Prepare = Callable[..., Dataset]

SHOP = "user_id,item_id,timestamp,title\n" + "".join(
    f"u{user},i{item},2024-01-{1 + user + item:02d},Item {item}\n" for user in range(4) for item in range(5)
)


@pytest.fixture
def shop(prepared: Prepare, write: Callable[[str, str], Path]) -> Dataset:
    return prepared("source=tabular", "name=shop", f"source.events={write('shop.csv', SHOP)}")


def test_what_was_prepared_can_be_opened(shop: Dataset) -> None:
    opened = Dataset.open(shop.path)
    assert (
        opened.fingerprint == shop.fingerprint == json.loads((shop.path / "manifest.json").read_text())["fingerprint"]
    )
    assert opened.manifest == shop.manifest
    assert opened.split_column == Columns.SPLIT_TEMPORAL
    assert opened.users is None
    assert opened.items.columns[:3].tolist() == ["item_id", "title", "text"]
    assert opened.events.dtypes.astype(str).to_dict() == {
        "user_id": "str",
        "item_id": "str",
        "timestamp": "datetime64[us, UTC]",
        "event": "category",
        "split_leave_one_out": "int8",
        "split_temporal": "int8",
    }


def test_the_same_input_gives_the_same_fingerprint_and_another_another(shop: Dataset, prepared: Prepare) -> None:
    events = f"source.events={shop.path.parents[2] / 'shop.csv'}"
    assert prepared("source=tabular", "name=again", events).fingerprint == shop.fingerprint
    assert prepared("source=tabular", "name=other", events, "split=leave_one_out").fingerprint != shop.fingerprint
    assert (
        prepared(
            "source=tabular",
            "name=other",
            events,
            "cleaning.core.user_events=5",
            "cleaning.core.item_events=4",
            "source.default_event=view",
        ).fingerprint
        != shop.fingerprint
    )


def test_a_changed_byte_is_found(shop: Dataset) -> None:
    file = shop.path / "events.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"events\.parquet has SHA-256"):
        Dataset.open(shop.path)


def test_a_truncated_table_is_found_with_both_sizes(shop: Dataset) -> None:
    file = shop.path / "items.parquet"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UsageError, match=rf"items\.parquet has 100 bytes, .* {size:,}"):
        Dataset.open(shop.path)


def test_a_missing_table_is_found(shop: Dataset) -> None:
    (shop.path / "items.parquet").unlink()
    with pytest.raises(UsageError, match=r"items\.parquet is missing"):
        Dataset.open(shop.path)


def test_no_dataset_another_schema_and_a_broken_manifest_are_told_apart(shop: Dataset) -> None:
    manifest = shop.path / "manifest.json"
    with pytest.raises(UsageError, match="make one with python -m data_prep"):
        Dataset.open(shop.path / "nowhere")
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(UsageError, match="schema version 99, not 1"):
        Dataset.open(shop.path)
    manifest.write_text("{")
    with pytest.raises(UsageError, match="is broken"):
        Dataset.open(shop.path)


def test_events_come_by_user_and_time(shop: Dataset) -> None:
    expected = shop.events.sort_values(["user_id", "timestamp"], kind="stable")
    pd.testing.assert_frame_equal(shop.events, expected)
