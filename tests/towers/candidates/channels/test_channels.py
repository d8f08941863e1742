"""Recall channels: their candidates, by hand and against the baseline they serve, and after the disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from data_prep.errors import UsageError
from data_prep.files import read_json
from towers.baselines import (
    BM25,
    Cooccurrence,
    Cosine,
    DecayedPopularity,
    DoesNotApply,
    Ease,
    ItemKNN,
    Markov,
    PairWeights,
    Pearson,
    Popularity,
    Trending,
    UserKNN,
)
from towers.candidates.channels import (
    FittedChannel,
    Neighbours,
    NextBasket,
    PopularItems,
    SameCategory,
    SimilarUsers,
    WordMatch,
)
from towers.candidates.channels.channel import PROFILES, largest
from towers.events import TrainingData
from towers.events.history import History
from towers.events.interactions import Interactions

DAY = 86_400.0
ITEMS = pd.DataFrame(
    {
        "item_id": list("abcdef"),
        "title": ["green tea", "black tea", "rye bread", "white bread", "dog food", "mint tea"],
        "text": ["green tea leaves", "black tea leaves", "rye bread", "white bread", "dog food", "mint tea"],
        "category": ["tea", "tea", "bread", "bread", "", "tea"],
    }
)


def training(exclude_seen: bool = True, times: bool = True) -> TrainingData:
    """Four users; b and d are had lately, f never."""
    rows = np.array([0, 1, 0, 1, 2, 3, 1, 3])
    offsets = np.array([0, 2, 5, 6, 8])
    days = np.array([0.0, 30, 1, 31, 2, 30, 29, 31]) if times else np.full(8, np.nan)
    return TrainingData(Interactions(offsets, rows, days * DAY, 6), ITEMS, lambda texts: np.zeros((0, 0)), exclude_seen)


def history(*rows: int) -> History:
    return History(np.array(rows, np.int64), ["view"] * len(rows), np.arange(len(rows)) * DAY)


TRENDING = PopularItems(Trending(half_life_days=7), kept=6)

HISTORIES = [history(0, 2), history(1), history(), history(4), history(0, 99)]
QUERIES = ["", "", "green tea", "bread", ""]


SERVED = {
    "item-knn": lambda: Neighbours(ItemKNN(Cosine(), 10, 1.0, 0.8), kept=6),
    "cooccurrence": lambda: Neighbours(Cooccurrence(PairWeights(10, 0.5, 0.5, 0.5, 0.3), 0.6), kept=6),
    "markov": lambda: NextBasket(Markov([1.0, 0.5], 0.3), kept=6),
    "user-knn": lambda: SimilarUsers(UserKNN(Cosine(), 2, 1.0)),
    "user-knn, pearson": lambda: SimilarUsers(UserKNN(Pearson(), 2, 0.0)),
    "popularity": lambda: PopularItems(Popularity(), kept=6),
    "decayed popularity": lambda: PopularItems(DecayedPopularity(7), kept=6),
}
EASE = Neighbours(Ease(1.0, 1.0, max_items=6), kept=6)


@pytest.mark.parametrize("name", SERVED)
def test_a_channel_scores_as_its_baseline_does(name):
    channel = SERVED[name]()
    fitted = channel.fit(training())
    known = HISTORIES[:4]
    expected = channel.baseline.score(known, [""] * 4).numpy()
    assert expected.any()
    np.testing.assert_allclose(fitted.scores(known, [""] * 4).toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize("kept", [1, 2, 6])
def test_of_the_linear_model_the_largest_positive_weights_are_kept(kept):
    channel = Neighbours(Ease(1.0, 1.0, max_items=6), kept).fit(training())
    weights = Ease(1.0, 1.0, max_items=6).fit(training()).table
    assert (weights < 0).any()
    for row, found in zip(weights, channel.table.toarray(), strict=True):
        best = sorted((value for value in row.tolist() if value > 0), reverse=True)[:kept]
        assert sorted(found[found > 0].tolist(), reverse=True) == pytest.approx(best)
        assert (found[found > 0] == row[found > 0]).all()


def test_only_the_strongest_neighbours_are_kept():
    whole = Neighbours(ItemKNN(Cosine(), 10, 0.0, 1.0), kept=6).fit(training()).table.toarray()
    one = Neighbours(ItemKNN(Cosine(), 10, 0.0, 1.0), kept=1).fit(training()).table.toarray()
    assert ((one > 0).sum(axis=1) <= 1).all()
    np.testing.assert_allclose(one.max(axis=1), whole.max(axis=1))


@pytest.mark.parametrize("queries", [QUERIES[:4], ["", "gren teas", "braed", "dogg fod"]], ids=["spelt", "misspelt"])
def test_words_score_the_share_of_bm25_that_any_item_could_have(queries):
    baseline = BM25(1.2, 0.75, 0.6, ["*"], singular=True, mend=True)
    channel = WordMatch(baseline).fit(training())
    expected = baseline.score(HISTORIES[:4], queries).numpy()
    found = channel.scores(HISTORIES[:4], queries).toarray()
    spoken = expected.max(axis=1) > 0
    assert spoken[1:].all() and not found[~spoken].any()
    most = expected[spoken].max(axis=1, keepdims=True) / found[spoken].max(axis=1, keepdims=True)
    np.testing.assert_allclose(found[spoken] * most, expected[spoken], rtol=1e-5)
    assert (found < 1).all() and (most > expected[spoken]).all()


@pytest.mark.parametrize(("query", "share"), [("dog", 1.0), ("dog breads", None), ("dog nonsense", 1.0)])
def test_a_share_is_of_the_words_that_items_have(query, share):
    texts = [*ITEMS["text"][:4], "dog " * 5000, "mint tea"]
    baseline = BM25(1.2, 0.0, 0.6, ["text"], singular=True, mend=False)
    plain = training()
    described = TrainingData(plain.interactions, ITEMS.assign(text=texts), plain.encode, True)
    if share is None:  # half of what is asked for, each word weighing what its rarity says
        dog, bread = (np.log1p((6 - n + 0.5) / (n + 0.5)) for n in (1, 2))
        share = dog / (dog + bread)
    assert WordMatch(baseline).fit(described).scores([history()], [query]).toarray()[0, 4] == pytest.approx(
        share, rel=1e-3
    )


def test_of_an_endless_query_the_first_words_alone_are_mended():
    channel = WordMatch(BM25(1.2, 0.75, 0.6, ["text"], singular=True, mend=True)).fit(training())
    noise = " ".join(f"xyxyx{number}" for number in range(31))
    assert channel.scores([history()], [f"{noise} braed"]).nnz == 2
    assert channel.scores([history()], [f"{noise} more braed"]).nnz == 0


ADDED = pd.DataFrame(
    {
        "item_id": ["g", "h", "i"],
        "title": ["green tea", "matcha tea", "matcha bread"],
        "text": ["green tea", "matcha tea tea", "matcha bread"],
        "category": ["tea", "", "bread"],
    }
)


def grown(columns: list[str]) -> FittedChannel:
    """The words of six items and, behind them, of one that came and then of two more."""
    channel = WordMatch(BM25(1.2, 0.75, 0.6, columns, singular=True, mend=True)).fit(training())
    return channel.grown(ADDED.iloc[:1]).grown(ADDED.iloc[1:])


def test_added_items_are_found_by_their_words_and_the_others_as_before():
    channel, before = (
        grown(["title"]),
        WordMatch(BM25(1.2, 0.75, 0.6, ["title"], singular=True, mend=True)).fit(training()),
    )
    found = channel.scores([history(0), history()], ["green tea", "matcha"]).toarray()
    known = before.scores([history(0), history()], ["green tea", "matcha"]).toarray()
    np.testing.assert_array_equal(found[:, :6], known)
    asked = channel.scores([history()], ["green tea"]).toarray()[0]
    assert asked[6] == pytest.approx(asked[0])  # the same title as the first item's
    assert not found[1, :7].any() and found[1, 7] == found[1, 8] > 0


def test_an_added_word_weighs_as_one_that_a_single_item_has():
    scores = grown(["text"]).scores([history()], ["matcha"]).toarray()[0]
    mean = sum(len(text.split()) for text in ITEMS["text"]) / 6
    for row, length in ((7, 3), (8, 2)):
        assert scores[row] == pytest.approx(1 / (1 + 1.2 * (0.25 + 0.75 * length / mean)), rel=1e-5)
    both = grown(["text"]).scores([history()], ["dog matcha"]).toarray()[0]  # dog is as rare: one item has it
    assert both[7] == pytest.approx(scores[7] / 2, rel=1e-5)


def test_a_word_of_an_added_item_is_not_mended_into_another():
    before = WordMatch(BM25(1.2, 0.75, 0.6, ["title"], singular=True, mend=True)).fit(training())
    new = before.grown(ADDED.iloc[:1].assign(title="ten"))
    assert before.scores([history()], ["ten"]).toarray()[0, 0] > 0  # tea, it is thought
    assert np.flatnonzero(new.scores([history()], ["ten"]).toarray()[0]).tolist() == [6]


def test_over_another_catalogue_words_are_fitted_anew():
    items = pd.concat([ITEMS.iloc[[3, 1]], ADDED], ignore_index=True)
    places = np.array([-1, 1, -1, 0, -1, -1])
    baseline = BM25(1.2, 0.75, 0.6, ["*"], singular=True, mend=True)
    moved = WordMatch(baseline).fit(training()).over(places, items)
    plain = training()
    fitted = WordMatch(baseline).fit(TrainingData(plain.interactions, items, plain.encode, True))
    queries = ["matcha", "black teas", "white braed"]
    expected = fitted.scores([history()] * 3, queries).toarray()
    np.testing.assert_array_equal(moved.scores([history()] * 3, queries).toarray(), expected)


@pytest.mark.parametrize(
    "channel",
    [*(make() for make in SERVED.values()), TRENDING, SameCategory(7, 0.5, 6)],
    ids=lambda c: type(c).__name__,
)
def test_what_is_learnt_from_events_says_nothing_of_added_items(channel):
    fitted = channel.fit(training())
    found = fitted.grown(ADDED.iloc[:1]).grown(ADDED.iloc[1:]).scores(HISTORIES, QUERIES).toarray()
    np.testing.assert_array_equal(found[:, :6], fitted.scores(HISTORIES, QUERIES).toarray())
    assert found.shape == (len(HISTORIES), 9) and not found[:, 6:].any()


def test_trending_prefers_what_is_had_now_to_what_was_had_as_often_before():
    scores = TRENDING.fit(training()).scores(HISTORIES, QUERIES).toarray()
    assert (scores == scores[0]).all()
    assert scores[0, 1] > scores[0, 0]  # b: twice in the last days; a: twice a month ago
    assert scores[0, 3] > scores[0, 2]
    assert scores[0, 5] == 0  # never had


def test_without_times_nothing_is_trending_and_popularity_counts():
    with pytest.raises(DoesNotApply, match="no times"):
        TRENDING.fit(training(times=False))
    channel = PopularItems(Popularity(), kept=2).fit(training(times=False))
    assert channel.scores([history()], [""]).toarray().tolist() == [[2, 3, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    "name", [*sorted(SERVED.keys() - {"user-knn, pearson"}), "ease"]
)  # a correlation knows the size
def test_over_another_catalogue_what_is_gone_is_gone_and_the_rest_is_as_before(name):
    fitted = (EASE if name == "ease" else SERVED[name]()).fit(training())
    items = pd.concat([ADDED.iloc[:1], ITEMS.iloc[[3, 1, 0, 2]]], ignore_index=True)
    places = np.array([3, 2, 4, 1, -1, -1])  # e and f are gone, and nobody has had them
    before = fitted.scores([history(0, 2), history(1)], ["", ""]).toarray()
    after = fitted.over(places, items).scores([history(3, 4), history(2)], ["", ""]).toarray()
    np.testing.assert_allclose(after[:, [3, 2, 4, 1]], before[:, :4], rtol=1e-6)
    assert not after[:, 0].any()


def test_same_category_multiplies_the_share_of_the_history_with_the_share_of_the_category():
    channel = SameCategory(half_life_days=7, decay=0.5, kept=6).fit(training(times=False))
    # tea: a twice, b three times; bread: c once, d twice. The newest event, c, weighs twice as much as a.
    found = channel.scores([history(0, 2), history(4), history()], [""] * 3).toarray()
    expected = [1 / 3 * 2 / 5, 1 / 3 * 3 / 5, 2 / 3 * 1 / 3, 2 / 3 * 2 / 3, 0, 0]
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    assert not found[1:].any()


def test_same_category_does_not_apply_to_items_without_one():
    plain = training()
    bare = TrainingData(plain.interactions, ITEMS.drop(columns="category"), plain.encode, plain.exclude_seen)
    with pytest.raises(DoesNotApply, match="category"):
        SameCategory(7, 0.5, 6).fit(bare)


CHANNELS = {
    **{name: make() for name, make in SERVED.items()},
    "ease": EASE,
    "words": WordMatch(BM25(1.2, 0.75, 0.6, ["text"], singular=True, mend=True)),
    "trending": TRENDING,
    "same category": SameCategory(7, 0.5, 6),
}


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS.keys())
def test_a_channel_answers_from_disk_as_before_without_pickles(channel, tmp_path: Path):
    fitted = channel.fit(training())
    fitted.save(tmp_path / "channel")
    loaded = FittedChannel.load(tmp_path / "channel")
    queries = [*QUERIES[:-1], "dogg fod"]
    before, after = fitted.scores(HISTORIES, queries), loaded.scores(HISTORIES, queries)
    np.testing.assert_array_equal(before.toarray(), after.toarray())
    assert {path.suffix for path in (tmp_path / "channel").iterdir()} == {".npy", ".json"}


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS.keys())
def test_an_item_of_the_history_that_came_after_the_fitting_is_passed_over(channel):
    fitted = channel.fit(training())
    with_it, without = fitted.scores([history(0, 99), history(0)], ["", ""]).toarray()
    np.testing.assert_array_equal(with_it, without)


@pytest.mark.parametrize("dense", [True, False])
def test_of_equal_values_those_of_lower_column_are_kept(dense):
    table = np.array([[1, 3, 2, 2, 2, -1], [0, 0, 0, 0, 0, 5], [-1, -2, -3, -4, -5, -6]], np.float32)
    found = largest(table if dense else sp.csr_array(table), 3).toarray()
    assert found.tolist() == [[0, 3, 2, 2, 0, 0], [0, 0, 0, 0, 0, 5], [0] * 6]
    whole = largest(table if dense else sp.csr_array(table), 9).toarray()
    np.testing.assert_array_equal(whole, np.maximum(table, 0))


def test_people_are_compared_by_a_similarity_that_files_have_a_name_for():
    class Jaccard(Cosine):
        name = "jaccard"

    with pytest.raises(UsageError, match="similarity 'jaccard' is none of cosine, pearson"):
        SimilarUsers(UserKNN(Jaccard(), 2, 0.0))


def test_files_name_profiles_by_kinds_that_outlive_their_classes(tmp_path: Path):
    assert {kind: profile.__name__ for kind, profile in PROFILES.items()} == {
        "items": "ItemsProfile",
        "baskets": "BasketsProfile",
        "users": "UsersProfile",
        "categories": "CategoriesProfile",
        "words": "WordsProfile",
        "constant": "ConstantProfile",
    }
    fitted = TRENDING.fit(training())
    renamed = type("Renamed", (type(fitted.profile),), {})()
    FittedChannel(renamed, fitted.table).save(tmp_path / "channel")
    assert read_json(tmp_path / "channel" / "channel.json")["kind"] == "constant"
    assert type(FittedChannel.load(tmp_path / "channel").profile) is type(fitted.profile)
