"""Item statistics and the features made of them, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd

from towers.candidates.item_statistics import ITEM_FEATURES, ItemStatistics
from towers.events.history import History
from towers.events.interactions import Interactions

DAY = 86_400.0
ITEMS = pd.DataFrame(
    {
        "item_id": list("abc"),
        "category": ["tea", "bread", "tea"],
        "brand": ["x", "", "y"],
        "price": [np.e, np.e**2, np.nan],
    }
)
LOG = Interactions(np.array([0, 2, 3]), np.array([0, 1, 1]), np.array([1, 2, 5]) * DAY, 3)
HISTORY = History(np.array([0, 0, 1]), ["view"] * 3, np.arange(3) * DAY)


def features(statistics: ItemStatistics, rows: list[int], history: History = HISTORY) -> dict[str, list[float]]:
    return dict(zip(ITEM_FEATURES, statistics.item_features(np.array(rows), history).T.tolist(), strict=True))


def test_features_are_those_of_log_catalogue_and_history():
    found = features(ItemStatistics.of(ITEMS, LOG), [0, 1, 2])
    np.testing.assert_allclose(found["popularity"], np.log1p([1, 2, 0]), rtol=1e-6)
    np.testing.assert_allclose(found["recency"], [np.log1p(4), 0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["price fit"], [1 / 3, 2 / 3, np.nan], rtol=1e-5)  # mean log price 4/3
    np.testing.assert_allclose(found["category share"], [2 / 3, 1 / 3, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(found["brand share"], [2 / 3, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found["repeats"], np.log1p([2, 1, 0]), rtol=1e-6)


def test_without_a_history_only_the_item_is_known():
    found = features(ItemStatistics.of(ITEMS, LOG), [0], History.empty())
    assert np.isfinite(found["popularity"] + found["recency"]).all()
    assert np.isnan(found["price fit"] + found["category share"] + found["repeats"]).all()


def test_added_items_stand_behind_and_share_the_labels():
    added = pd.DataFrame({"item_id": ["d"], "category": ["tea"], "brand": ["new"], "price": [np.e]})
    statistics = ItemStatistics.of(ITEMS, LOG).grown(added)
    found = features(statistics, [3], History(np.array([0, 3]), ["view"] * 2, np.arange(2) * DAY))
    assert found["popularity"] == [0] and found["category share"] == [1.0] and found["brand share"] == [0.0]


def test_statistics_survive_the_disk(tmp_path: Path):
    statistics = ItemStatistics.of(ITEMS, LOG)
    statistics.save(tmp_path)
    again = ItemStatistics.load(tmp_path)
    np.testing.assert_array_equal(
        statistics.item_features(np.arange(3), HISTORY), again.item_features(np.arange(3), HISTORY)
    )
    assert again.grown(ITEMS).codes == statistics.codes
