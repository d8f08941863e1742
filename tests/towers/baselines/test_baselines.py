"""Baselines against twins that are slow and obviously right."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from towers.baselines import (
    BM25,
    IALS,
    BaselineMix,
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
    TextSimilarity,
    TfIdf,
    UserKNN,
)
from towers.baselines.cooccurrence import directional_cooccurrence
from towers.baselines.words import texts_of_columns
from towers.blocks import WhitenedText
from towers.events import TrainingData
from towers.events.history import History
from towers.events.interactions import Interactions
from towers.text.whitening import Whitening

ITEMS = 8
DAY = 86_400
WORDS = ["green tea", "black tea", "tea tea pot", "dog food", "dog leash", "cat food", "rye bread", "white bread"]


def history(*rows: int, times: list[float] | None = None) -> History:
    when = np.full(len(rows), np.nan) if times is None else np.array(times, np.float64)
    return History(np.array(rows, np.int64), ["view"] * len(rows), when)


def training(*users: list[int], times: list[list[float]] | None = None, exclude_seen: bool = True) -> TrainingData:
    """What baselines learn from, every user a list of items, oldest first."""
    flat = np.array([row for rows in users for row in rows], np.int64)
    when = np.full(len(flat), np.nan) if times is None else np.array([t for part in times for t in part], np.float64)
    log = Interactions(np.cumsum([0, *map(len, users)]), flat, when, ITEMS)
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 5)).astype(np.float32)
    return TrainingData(log, pd.DataFrame({"text": WORDS}), lambda texts: vectors[: len(texts)], exclude_seen)


logs = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), min_size=1, max_size=8)
rows_of_a_user = st.lists(st.integers(0, ITEMS - 1), max_size=6)


def test_popularity_is_the_count_whoever_asks():
    found = Popularity().fit(training([0, 0, 2], [2, 0])).score([history(), history(2)], [""] * 2)
    assert found.tolist() == [[3, 0, 2, 0, 0, 0, 0, 0]] * 2


def test_decayed_popularity_halves_each_half_life_before_the_newest_event():
    data = training([0, 1], [1, 2], times=[[0, 20 * DAY], [10 * DAY, 10 * DAY]])
    found = DecayedPopularity(half_life_days=10).fit(data).score([history()], [""])
    assert found[0, :4].tolist() == pytest.approx([0.25, 1.5, 0.5, 0])


def test_decayed_popularity_refuses_a_log_without_times():
    with pytest.raises(DoesNotApply, match="use popularity"):
        DecayedPopularity(half_life_days=10).fit(training([0, 1]))


def similarity_by_loop(first: list[set], second: list[set], total: int, kind: str, shrinkage: float) -> np.ndarray:
    """Of every pair of sets, from their indicator vectors."""
    found = np.zeros((len(first), len(second)))
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            a, b = (np.array([x in s for x in range(total)], float) for s in (one, other))
            if kind == "pearson":
                a, b = a - a.mean(), b - b.mean()
            size = np.sqrt((a @ a) * (b @ b))
            together = len(one & other)
            if together and size > 1e-9:
                found[i, j] = max(a @ b / size, 0) * together / (together + shrinkage)
    found[found < 1e-6] = 0
    return found


def prune(similarity: np.ndarray, neighbours: int) -> np.ndarray:
    least = np.sort(similarity, axis=1)[:, ::-1][:, [min(neighbours, similarity.shape[1]) - 1]]
    return np.where(similarity >= least - 1e-6, similarity, 0)


KINDS = {"cosine": Cosine(), "pearson": Pearson()}


@settings(max_examples=60, deadline=None)
@given(logs, rows_of_a_user, st.integers(1, ITEMS), st.booleans(), st.sampled_from(["cosine", "pearson"]))
def test_item_knn_is_the_similarity_with_recent_items(log, rows, neighbours, exclude_seen, kind):
    fans = [{u for u, items in enumerate(log) if item in items} for item in range(ITEMS)]  # twice counts as once
    similarity = similarity_by_loop(fans, fans, len(log), kind, shrinkage=0.5)
    np.fill_diagonal(similarity, 0)
    similarity = prune(similarity, neighbours) + (0 if exclude_seen else np.eye(ITEMS))
    expected = sum((0.5**age * similarity[row] for age, row in enumerate(reversed(rows))), np.zeros(ITEMS))

    fitted = ItemKNN(KINDS[kind], neighbours, 0.5, 0.5).fit(training(*log, exclude_seen=exclude_seen))
    found = fitted.score([history(*rows), history()], [""] * 2)
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    assert not found[1].any()


@settings(max_examples=60, deadline=None)
@given(logs, rows_of_a_user, st.integers(1, ITEMS), st.sampled_from(["cosine", "pearson"]))
def test_user_knn_asks_the_people_most_alike(log, rows, neighbours, kind):
    near = prune(similarity_by_loop([set(rows)], [set(u) for u in log], ITEMS, kind, shrinkage=1.0), neighbours)[0]
    expected = np.array([sum(near[u] for u, items in enumerate(log) if item in items) for item in range(ITEMS)])
    found = UserKNN(KINDS[kind], neighbours, 1.0).fit(training(*log)).score([history(*rows)], [""])
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_a_basket_has_no_order_and_weighs_as_its_middle():
    knn = ItemKNN(Cosine(), ITEMS, 0, 0.5).fit(training([0, 1, 2], [1, 3], exclude_seen=False))
    one = knn.score([history(3, 1, 2, times=[1, 5, 5])], [""])
    other = knn.score([history(3, 2, 1, times=[1, 5, 5])], [""])
    assert torch.equal(one, other)
    alone = {row: knn.score([history(row)], [""])[0] for row in (1, 2, 3)}
    torch.testing.assert_close(one[0], 0.5**0.5 * (alone[1] + alone[2]) + 0.25 * alone[3])


def markov_by_loop(users: list[list[tuple[int, int]]], weights: list[float], asked: list[tuple[int, int]]):
    """Transitions between the baskets of (item, time) events, and the scores of a history of such."""
    baskets = [[[i for i, t in u if t == time] for time in sorted({t for _, t in u})] for u in [*users, asked]]
    counts, moves = np.zeros(ITEMS), np.zeros((ITEMS, ITEMS))
    for user in baskets[:-1]:
        for place, basket in enumerate(user):
            for a in basket:
                counts[a] += 1
                for step, weight in enumerate(weights, start=1):
                    for b in user[place + step] if place + step < len(user) else []:
                        moves[a, b] += weight
    moves /= np.maximum(counts, 1)[:, None]
    newest = baskets[-1][::-1]
    return sum((w * moves[a] for w, basket in zip(weights, newest, strict=False) for a in basket), np.zeros(ITEMS))


events = st.lists(st.tuples(st.integers(0, ITEMS - 1), st.integers(0, 3)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=5), events)
def test_markov_counts_what_came_one_and_two_baskets_later(users, asked):
    users, asked = [sorted(u, key=lambda e: e[1]) for u in users], sorted(asked, key=lambda e: e[1])
    data = training(*([i for i, _ in u] for u in users), times=[[t for _, t in u] for u in users])
    found = (
        Markov([1.0, 0.5], normalize=1)
        .fit(data)
        .score([history(*(i for i, _ in asked), times=[t for _, t in asked])], [""])
    )
    np.testing.assert_allclose(found[0], markov_by_loop(users, [1.0, 0.5], asked), atol=1e-5)


def test_cooccurrence_leads_from_the_newest_items():
    data = training([0, 1, 2], [1, 2])
    pairs = PairWeights(9, 0.5, 0.5, 0.5, 0.3)
    matrix = directional_cooccurrence(data.interactions, pairs).toarray()
    found = Cooccurrence(pairs, decay=0.6).fit(data).score([history(0, 1)], [""])
    np.testing.assert_allclose(found[0], matrix[1] + 0.6 * matrix[0], rtol=1e-5)


def test_ease_solves_each_items_regression_on_the_others():
    users = [[0, 1, 2], [0, 1], [1, 2, 3], [3, 4], [0, 4, 4], [5, 6, 7, 0]]
    x = np.array([[item in u for item in range(ITEMS)] for u in users], float)
    weights = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):  # min |x_i - X_-i b|² + 2 |b|²
        others = [i for i in range(ITEMS) if i != item]
        a = x[:, others]
        weights[others, item] = np.linalg.solve(a.T @ a + 2 * np.eye(ITEMS - 1), a.T @ x[:, item])
    found = Ease(2.0, 1.0, ITEMS).fit(training(*users)).score([history(0, 3)], [""])
    np.testing.assert_allclose(found[0], weights[0] + weights[3], atol=1e-5)


def test_ease_refuses_a_catalogue_it_cannot_invert():
    with pytest.raises(DoesNotApply, match=r"8 items are more than max_items 7.*max_items"):
        Ease(2.0, 1.0, ITEMS - 1).fit(training([0, 1]))


def test_ials_folds_users_in_by_their_normal_equations():
    pytest.importorskip("implicit")
    users = [[0, 1, 2], [0, 1], [1, 2, 0], [3, 4], [3, 4, 4], [5, 6, 7]] * 4
    model = IALS(factors=3, alpha=5, regularization=0.1, iterations=20, decay=0.5, seed=0).fit(training(*users))
    items = model.items.double().numpy()
    found = model.user_factors([history(0, 1, 0), history()])
    heard = {1: 0.5, 0: 1.25}  # item 0 is the newest event and the one before the last
    confidence = np.array([1 + 5 * heard.get(i, 0) for i in range(ITEMS)])
    relevant = np.array([float(i in heard) for i in range(ITEMS)])
    left = items.T @ (confidence[:, None] * items) + 0.1 * np.eye(3)
    np.testing.assert_allclose(found[0], np.linalg.solve(left, items.T @ (confidence * relevant)), rtol=1e-3, atol=1e-5)
    assert not found[1].any()
    scores = model.score([history(0, 1)], [""])[0]
    assert scores[2] > scores[3:].max()


def test_ials_without_its_package_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(DoesNotApply, match=r"twotower\[baselines\]"):
        IALS(3, 5, 0.1, 2, 0.5, 0).fit(training([0, 1]))


def test_tf_idf_is_the_cosine_with_recent_texts():
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(WORDS).toarray()
    found = TfIdf(max_words=2, decay=0.5).fit(training([0])).score([history(3, 0)], [""])
    np.testing.assert_allclose(found[0], vectors @ (vectors[0] + 0.5 * vectors[3]), atol=1e-5)


def test_bm25_is_the_sum_over_the_words_of_the_history():
    k1, b = 1.2, 0.75
    texts = [text.split() for text in WORDS]
    mean = np.mean([len(t) for t in texts])

    def by_loop(query: list[str], text: list[str]) -> float:
        total = 0.0
        for word in set(query) & set(text):
            have = sum(word in t for t in texts)
            idf = np.log(1 + (len(texts) - have + 0.5) / (have + 0.5))
            f = text.count(word)
            total += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * len(text) / mean))
        return total

    found = BM25(k1, b, 0.5, ["text"], singular=False, mend=False).fit(training([0])).score([history(3, 0)], [""])
    expected = [by_loop(texts[0], t) + 0.5 * by_loop(texts[3], t) for t in texts]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "scorer", [TfIdf(1, 0.5), BM25(1.2, 0.75, 0.5, ["text"], singular=True, mend=True)], ids=["tf-idf", "bm25"]
)
def test_a_query_scores_by_its_words_and_counts_as_the_newest_event(scorer):
    scorer.fit(training([0]))
    empty, had = history(), history(3, 0)
    same_words = scorer.score([history(2)], [""])
    torch.testing.assert_close(scorer.score([empty], [WORDS[2]]), same_words)
    both = 0.5 * scorer.score([had], [""]) + same_words
    torch.testing.assert_close(scorer.score([had, empty], [WORDS[2], ""]), torch.cat([both, torch.zeros_like(both)]))


def test_bm25_folds_plurals_and_mends_what_no_item_has():
    plain = BM25(1.2, 0.75, 0.5, ["text"], singular=False, mend=False).fit(training([0]))
    asked = ["teas", "leahs"]
    assert not plain.score([history()] * 2, asked).any()
    kind = BM25(1.2, 0.75, 0.5, ["text"], singular=True, mend=True).fit(training([0]))
    teas, leash = kind.score([history()] * 2, asked)
    torch.testing.assert_close(teas, plain.score([history()], ["tea"])[0])
    torch.testing.assert_close(leash, plain.score([history()], ["leash"])[0])
    torch.testing.assert_close(kind.score([history()], ["breads"]), kind.score([history()], ["bread"]))  # no error


def test_bm25_reads_the_columns_it_is_told():
    items = pd.DataFrame(
        {
            "item_id": ["a", "b"],
            "text": ["pot", "pan"],
            "maker": ["Acme", None],
            "colour": ["red", "blue"],
            "price": [1, 2],
        }
    )
    assert texts_of_columns(items, ["text", "colour"]) == ["pot red", "pan blue"]
    assert texts_of_columns(items, ["*"]) == ["Acme red", " blue"]
    with pytest.raises(DoesNotApply, match="items have no size; there is item_id, text, maker, colour, price"):
        texts_of_columns(items, ["size"])


def test_a_query_of_unknown_words_finds_nothing():
    assert (
        not BM25(1.2, 0.75, 0.5, ["text"], singular=True, mend=True)
        .fit(training([0]))
        .score([history()], ["zzz"])
        .any()
    )


def test_a_scorer_that_cannot_read_ignores_the_query():
    knn = ItemKNN(Cosine(), 5, 0, 0.5).fit(training([0, 1, 2], [0, 2]))
    torch.testing.assert_close(knn.score([history(0)], ["tea"]), knn.score([history(0)], [""]))


def test_texts_without_words_leave_word_scorers_out():
    data = training([0])
    blank = TrainingData(data.interactions, pd.DataFrame({"text": ["!"] * ITEMS}), data.encode, True)
    with pytest.raises(DoesNotApply, match="text template"):
        TfIdf(1, 0.5).fit(blank)


def test_text_similarity_prefers_what_reads_like_the_newest_item():
    rng = np.random.default_rng(0)
    tea, dogs = rng.normal(size=16), rng.normal(size=16)
    vectors = np.stack([*(tea + 0.2 * rng.normal(size=(30, 16))), *(dogs + 0.2 * rng.normal(size=(30, 16)))])
    items = pd.DataFrame({"text": ["?"] * 60})
    log = Interactions(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), 60)
    said = {"?": vectors, "dogs": dogs[np.newaxis]}
    data = TrainingData(log, items, lambda texts: said[texts[0]].astype(np.float32), True)
    similarity = TextSimilarity(0.5).fit(data)
    found = similarity.score([history(40, 2)], [""])[0]
    assert found[:30].mean() > found[30:].mean()
    assert found.argmax() == 2
    asked, had, both = similarity.score([history(), history(2), history(2)], ["dogs", "", "dogs"])
    assert asked[30:].mean() > asked[:30].mean()
    torch.testing.assert_close(both, asked + 0.5 * had)


def test_half_the_whitening_is_what_block_and_baseline_read_with():
    log = Interactions(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), 60)
    vectors = (np.random.default_rng(0).normal(size=(60, 4)) * [1, 2, 5, 9]).astype(np.float32)
    data = TrainingData(log, pd.DataFrame({"text": ["?"] * 60}), lambda texts: vectors, True)
    half = Whitening(4, 0.5).fit(vectors).transform
    similarity = TextSimilarity(0.5, 0.5).fit(data)
    torch.testing.assert_close(similarity.whitening.transform, half)
    torch.testing.assert_close(WhitenedText(0.5, 10, 0.5).fit(data).whitening.transform, half)
    assert similarity.name == "text similarity, whitened 0.5" != TextSimilarity(0.5).name


def test_a_mix_of_baselines_adds_them_in_units_of_their_deviation():
    data = training([0, 1, 2], [0, 2], [3, 4])
    parts = {"words": TfIdf(1, 0.5), "items": ItemKNN(Cosine(), 5, 0, 0.5)}
    mix = BaselineMix("both", parts, {"words": 2.0, "items": 1.0}, sample_users=10, seed=0).fit(data)
    histories = [history(0, 1, 2), history(0, 2), history(3, 4)]
    words, items = (parts[name].score(histories, [""] * len(histories)) for name in ("words", "items"))
    expected = 2 * words / words.std(correction=0) + items / items.std(correction=0)
    torch.testing.assert_close(mix.score(histories, [""] * len(histories)), expected)


def test_a_mix_whose_weights_do_not_fit_its_parts_is_refused():
    with pytest.raises(ValueError, match="name the same"):
        BaselineMix("x", {"a": Popularity()}, {"b": 1.0}, 1, 0)
