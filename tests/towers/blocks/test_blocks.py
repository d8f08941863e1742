"""One vector of named blocks: arithmetic by hand, a shop from training to the saved encoder, weights."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_prep.columns import Split
from data_prep.command import UsageError
from data_prep.dataset import Dataset
from towers import History, OneVectorModel
from towers.baselines import DoesNotApply
from towers.blocks import BlockProfile, FittedFactors, HistoryWeights, LinearFactors, Trend
from towers.events import TrainingData
from towers.events.interactions import Interactions
from towers.events.reading import read_sequences
from towers.metrics.cases import Cases
from towers.model.trained_towers import TrainedTowers
from towers.text.whitening import Whitening
from towers.training.block_weights import weigh_blocks
from towers.training.config import BlockWeightsConfig


def history(*rows: int) -> History:
    return History(np.array(rows, np.int64), ["view"] * len(rows), np.full(len(rows), np.nan))


def test_a_profile_is_the_decayed_sum_of_what_its_items_add():
    table = np.array([[1, 0], [0, 1], [4, 4]], np.float32)
    profile = BlockProfile(
        table, True, HistoryWeights(0.5, max_history=2), np.zeros(2, np.float32), whitening=None, scale=1.0
    )
    found = profile.encode([history(2, 0, 1), history(1), history()], [None] * 3)
    # The oldest of three is beyond max_history; the newest weighs 1, the one before one half.
    np.testing.assert_allclose(found, [[0.5, 1], [0, 1], [0, 0]])


def test_a_basket_has_no_order_in_a_profile():
    table = np.eye(3, dtype=np.float32)
    profile = BlockProfile(
        table, True, HistoryWeights(0.25, max_history=10), np.zeros(3, np.float32), whitening=None, scale=1.0
    )
    basket = History(np.array([0, 1]), ["buy", "buy"], np.array([5.0, 5.0]))
    np.testing.assert_allclose(profile.encode([basket], [None]), [[0.5, 0.5, 0]])  # both stand half a place back


def test_a_block_that_cannot_read_is_silent_where_a_query_is_given():
    table = np.eye(3, dtype=np.float32)
    profile = BlockProfile(
        table, True, HistoryWeights(1.0, max_history=10), np.ones(3, np.float32), whitening=None, scale=1.0
    )
    history = History(np.array([0, 2]), ["view"] * 2, np.array([0.0, 1.0]))
    asking, browsing = profile.encode([history, history], [np.ones(5, np.float32), None])
    assert asking.tolist() == [0, 0, 0]
    assert browsing.tolist() == [2, 1, 2]


def test_a_query_is_the_newest_event_of_a_profile():
    table = np.array([[3, 4]], np.float32)
    start = np.zeros(2, np.float32)
    profile = BlockProfile(table, True, HistoryWeights(0.5, max_history=2), start, whitening=Whitening(2), scale=2.0)
    found = profile.encode([history(0), history()], [np.array([0, 5], np.float32), np.array([1, 0], np.float32)])
    np.testing.assert_allclose(found, [[1.5, 2 + 2 * 1], [2, 0]])


def test_an_item_without_events_has_a_zero_among_cooccurrence_factors():
    source, target = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    block = FittedFactors("cooccurrence", HistoryWeights(0.6, 50), pd.Index(["b", "a"]), source, target)
    items = pd.DataFrame({"item_id": ["a", "new", "b"]})
    np.testing.assert_allclose(block.item_vectors(items, np.zeros((3, 0), np.float32)), [[2] * 3, [0] * 3, [2] * 3])
    np.testing.assert_allclose(block.history_vectors(items), [[1] * 3, [0] * 3, [1] * 3])


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> OneVectorModel:
    model = OneVectorModel.open(tiny_run)
    assert {part.block.name for part in model.blocks} <= {"cooccurrence", "linear", "text", "trend"}
    assert model.blocks
    return model


def test_one_inner_product_is_the_towers_score_plus_each_blocks_times_its_weight(
    model: OneVectorModel, tiny_data: Path
):
    items = Dataset.open(tiny_data).items
    vectors = model.item_vectors(items)
    users = model.user_encoder(items, vectors)
    histories, queries = [history(1, 4, 2), history(), history(3)], ["", "green tea", "bread"]
    scores = users.encode(histories, queries) @ vectors.T
    assert vectors.shape[1] == model.dim == users.dim

    alone = model.only([])
    own = alone.item_vectors(items)
    expected = alone.user_encoder(items, own).encode(histories, queries) @ own.T
    for part in model.blocks:
        pair = model.only([part.block.name])
        both = pair.item_vectors(items)[:, alone.dim :] / part.weight**0.5
        profile = pair.user_encoder(items, pair.item_vectors(items)).profiles[part.block.name]
        sentences = [users.towers.sentence(query) for query in queries]
        expected += part.weight * (profile.encode(histories, sentences) / part.weight**0.5) @ both.T
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_new_item_has_its_text_block_at_once(model: OneVectorModel, tiny_data: Path):
    items = Dataset.open(tiny_data).items
    new = items.iloc[:1].assign(item_id="brand new")
    both = model.item_vectors(pd.concat([items.iloc[:1], new]))
    start = model.towers.dim
    for part in model.blocks:
        known, unknown = both[:, start : start + part.block.dim]
        if part.block.name == "text":
            np.testing.assert_allclose(unknown, known, atol=1e-6)
        else:
            assert known.any()
            assert not unknown.any()
        start += part.block.dim


def test_a_changed_block_is_refused(tiny_run: Path, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    block = next((copy / "blocks").glob("*.safetensors"))
    content = bytearray(block.read_bytes())
    content[-1] ^= 1
    block.write_bytes(content)
    with pytest.raises(UsageError, match="has changed since training"):
        OneVectorModel.open(copy)


def training_of(rows: list[list[int]], days: list[list[float]], items: int, exclude_seen: bool = True) -> TrainingData:
    """Events of users, one list each."""
    log = Interactions(
        offsets=np.cumsum([0, *map(len, rows)]),
        rows=np.array([row for own in rows for row in own]),
        timestamps=np.array([day for own in days for day in own]) * 86_400.0,
        num_items=items,
    )
    table = pd.DataFrame({"item_id": [f"i{row}" for row in range(items)]})
    return TrainingData(log, table, lambda texts: np.zeros((len(texts), 1), np.float32), exclude_seen)


def test_the_trend_is_the_log_of_todays_hazard_over_the_mean_one():
    # Item 0 is taken up early, item 1 late; item 2 by nobody. Half-life 10 days, log of 20 days, 4 people.
    rows, days = [[0, 0, 1], [0, 1], [0], [1]], [[0, 5, 20], [0, 20], [10], [20]]
    block = Trend(half_life_days=10, prior_events=1).fit(training_of(rows, days, items=3))
    window, prior = 10 / np.log(2) * (1 - 0.5**2), 1 / 10
    # First events: item 0 on days 0, 0, 10, had by 3 at the end, by (20 + 20 + 10) / 20 on average; item 1 on day 20.
    item_0 = np.log(((0.25 * 2 + 0.5) / window + prior) / (4 - 3 + 1)) - np.log((3 / 20 + prior) / (4 - 2.5 + 1))
    item_1 = np.log((3 / window + prior) / (4 - 3 + 1)) - np.log((3 / 20 + prior) / (4 - 0 + 1))
    items = pd.DataFrame({"item_id": ["i1", "i2", "i0", "new"]})
    found = block.item_vectors(items, np.zeros((4, 0), np.float32))
    np.testing.assert_allclose(found[:, 0], [item_1, 0, item_0, 0], rtol=1e-5)
    assert item_1 > item_0
    assert block.start.tolist() == [1.0]


def test_where_repeats_count_the_trend_counts_every_event_and_everybody_can_have_it_again():
    rows, days = [[0, 0], [1, 1]], [[0, 10], [0, 0]]
    block = Trend(half_life_days=10, prior_events=1).fit(training_of(rows, days, items=2, exclude_seen=False))
    window, prior = 10 / np.log(2) * 0.5, 0.1
    expected = [np.log((recent / window + prior) / (2 / 10 + prior)) for recent in (1.5, 1.0)]
    np.testing.assert_allclose(block.trend[:, 0], expected, rtol=1e-5)


def test_a_log_without_times_has_no_trend():
    with pytest.raises(DoesNotApply, match="no times"):
        Trend(half_life_days=10, prior_events=1).fit(training_of([[0, 1]], [[np.nan, np.nan]], items=2))


def test_linear_factors_of_full_rank_are_the_linear_model_and_leave_rare_items_out():
    rng = np.random.default_rng(0)
    rows = [sorted(rng.choice(6, 3, replace=False).tolist()) for _ in range(30)]
    rows[0] = [6]  # once only
    training = training_of(rows, [[0.0] * len(own) for own in rows], items=8)
    block = LinearFactors(rank=6, decay=1, max_history=10, regularization=2.0, most_items=6, seed=0).fit(training)
    assert list(block.item_ids) == [f"i{row}" for row in range(6)]

    x = np.zeros((30, 6))
    for user, own in enumerate(rows[1:], start=1):
        x[user, own] = 1
    for item in range(6):  # ridge regression of each item on the others, by the book
        others = [other for other in range(6) if other != item]
        a = x[:, others]
        expected = np.linalg.solve(a.T @ a + 2.0 * np.eye(5), a.T @ x[:, item])
        np.testing.assert_allclose((block.source @ block.target.T)[others, item], expected, atol=1e-4)
    np.testing.assert_allclose(np.diag(block.source @ block.target.T), 0, atol=1e-4)


def test_a_block_that_reads_no_history_says_the_same_to_everybody():
    start = np.array([2], np.float32)
    profile = BlockProfile(np.ones((3, 1), np.float32), True, HistoryWeights(1.0, 0), start, whitening=None, scale=2.0)
    np.testing.assert_allclose(profile.encode([history(0, 1), history()], [None, None]), [[2], [2]])


class Contrary:
    """A block that speaks against the categories of the history."""

    name, reading, whitening, item_ids, dim = "contrary", HistoryWeights(0.9, 50), None, None, 5
    start = np.zeros(5, np.float32)

    def item_vectors(self, items: pd.DataFrame, sentences: np.ndarray) -> np.ndarray:
        return pd.get_dummies(items["category"]).to_numpy(np.float32)

    def history_vectors(self, items: pd.DataFrame) -> np.ndarray:
        return -self.item_vectors(items, np.zeros((len(items), 0), np.float32))


def test_a_block_that_does_not_help_is_left_out(tiny_run: Path, tiny_data: Path):
    towers, dataset = TrainedTowers.open(tiny_run), Dataset.open(tiny_data)
    item_ids = [str(i) for i in dataset.items["item_id"]]
    cases = Cases.held_out(read_sequences(dataset, ""), item_ids, Split.VALID, True, [10])
    settings = BlockWeightsConfig(users=100, grid=[0, 0.5, 2], passes=2, certainty=0)
    assert weigh_blocks(towers, [Contrary()], dataset.items, cases, settings, batch_size=32).blocks == []
