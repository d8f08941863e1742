"""Lists that are not all alike, beside slow twins that are obviously right."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from towers.diversity import METHODS, Diversity, Pool, diversify, mean_distance, unit
from towers.diversity.duplicates import duplicates
from towers.diversity.greedy import DeterminantalPointProcess, Tiers, greedy


def how(method: str = "mmr", strength: float = 0.5, quota: int = 0, collapse: bool = False) -> Diversity:
    return Diversity(method, strength, quota, collapse, 0.97)


def pool(seed: int, count: int = 12, categories: str = "", scored: int | None = None) -> Pool:
    """Items of random directions, best first."""
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.standard_normal(count))[::-1].astype(np.float32)
    vectors = rng.standard_normal((count, 4)).astype(np.float32)
    names = list(categories) if categories else [""] * count
    titles = [f"item {number}" for number in range(count)]
    return Pool(scores, vectors, names, titles, count if scored is None else scored)


def standard(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    return (scores - scores.mean(dtype=np.float64)) / scores.std(dtype=np.float64)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def slow_marginal(candidates: Pool, strength: float, k: int) -> list[int]:
    """Marginal relevance by its formula, all cosines anew at every step."""
    relevance, taken = standard(candidates.scores), []
    for _ in range(k):
        worth = {}
        for place in set(range(len(relevance))) - set(taken):
            cosines = [cosine(candidates.vectors[place], candidates.vectors[other]) for other in taken]
            like = sum(cosines) / len(cosines) if cosines else 0.0
            worth[place] = (1 - strength) * relevance[place] - strength * like
        taken.append(max(sorted(worth), key=worth.__getitem__))
    return taken


def slow_determinantal(candidates: Pool, strength: float, k: int) -> list[int]:
    """The item that most raises relevance and the logarithm of the kernel's determinant, which is computed whole."""
    relevance, taken = standard(candidates.scores), []
    directions = unit(candidates.vectors).astype(np.float64)
    kernel = (1 + directions @ directions.T) / 2

    def volume(places: list[int]) -> float:
        return float(np.linalg.slogdet(kernel[np.ix_(places, places)])[1]) if places else 0.0

    for _ in range(k):
        worth = {
            place: (1 - strength) * relevance[place] + strength * (volume([*taken, place]) - volume(taken))
            for place in set(range(len(relevance))) - set(taken)
        }
        taken.append(max(sorted(worth), key=worth.__getitem__))
    return taken


def taken_in_order(candidates: Pool, method: str, strength: float, k: int) -> list[int]:
    count = len(candidates.scores)
    free = Tiers(np.zeros(count, np.int64), np.full(count, -1), 0)
    return greedy(standard(candidates.scores), METHODS[method](unit(candidates.vectors)), strength, k, free).tolist()


@pytest.mark.parametrize("strength", [0.2, 0.7, 1.0])
def test_marginal_relevance_is_its_formula(strength: float):
    for seed in range(5):
        candidates = pool(seed)
        assert taken_in_order(candidates, "mmr", strength, 8) == slow_marginal(candidates, strength, 8)


@pytest.mark.parametrize("strength", [0.2, 0.7, 0.95])
def test_the_determinantal_choice_is_the_one_of_whole_determinants(strength: float):
    for seed in range(5):
        candidates = pool(seed)
        assert taken_in_order(candidates, "dpp", strength, 5) == slow_determinantal(candidates, strength, 5)


def test_the_volume_added_is_the_ratio_of_determinants():
    candidates = pool(3, count=6)
    directions = unit(candidates.vectors).astype(np.float64)
    kernel = (1 + directions @ directions.T) / 2
    process = DeterminantalPointProcess(unit(candidates.vectors))
    taken: list[int] = []
    for place in (4, 0, 2):
        process.take(place)
        taken.append(place)
        for other in {0, 1, 2, 3, 4, 5} - set(taken):
            both = [*taken, other]
            ratio = np.linalg.det(kernel[np.ix_(both, both)]) / np.linalg.det(kernel[np.ix_(taken, taken)])
            assert process.values[other] == pytest.approx(np.log(ratio), abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    method=st.sampled_from(sorted(METHODS)),
    strength=st.floats(0, 1),
    k=st.integers(1, 15),
    quota=st.integers(0, 3),
    collapse=st.booleans(),
    scored=st.integers(0, 12),
)
def test_k_different_items_come_in_the_pools_order_whatever_is_asked(
    seed: int, method: str, strength: float, k: int, quota: int, collapse: bool, scored: int
):
    candidates = pool(seed, categories="aaaabbb ccc".replace(" ", "a") + "d", scored=scored)
    chosen = diversify(candidates, k, how(method, strength, quota, collapse)).places
    assert len(chosen) == min(k, 12)
    assert (np.diff(chosen) > 0).all()
    again = diversify(candidates, k, how(method, strength, quota, collapse)).places
    assert chosen.tolist() == again.tolist()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_strength_takes_the_first_ones(method: str):
    assert diversify(pool(1), 5, how(method, 0.0)).places.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_strength_means_the_same_whatever_the_scores_scale(method: str):
    candidates = pool(2, count=30)
    scaled = Pool(
        candidates.scores * 1000 + 5, candidates.vectors, candidates.categories, candidates.titles, candidates.scored
    )
    first, second = (diversify(each, 8, how(method, 0.6)).places.tolist() for each in (candidates, scaled))
    assert first == second != list(range(8))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_items_that_tie_in_all_are_taken_as_they_came(method: str):
    same = Pool(np.ones(6, np.float32), np.ones((6, 3), np.float32), [""] * 6, ["x"] * 6, 6)
    assert diversify(same, 3, how(method, 0.5)).places.tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_is_like_the_best_gives_way_to_what_is_not(method: str):
    vectors = np.array([[1, 0], [1, 0.01], [0, 1]], np.float32)
    candidates = Pool(np.array([3, 2.9, 2.8], np.float32), vectors, [""] * 3, ["a", "b", "c"], 3)
    assert diversify(candidates, 2, how(method, 0.9)).places.tolist() == [0, 2]


def test_vectors_of_nothing_are_like_nothing():
    candidates = Pool(np.array([3, 2, 1], np.float32), np.zeros((3, 2), np.float32), [""] * 3, ["a", "b", "c"], 3)
    for method in METHODS:
        assert diversify(candidates, 2, how(method, 0.5)).places.tolist() == [0, 1]


def test_a_category_has_its_quota_and_more_only_where_nothing_else_is_left():
    candidates = pool(0, count=7, categories="aaaabba")
    chosen = diversify(candidates, 4, how(strength=0.0, quota=2))
    assert chosen.places.tolist() == [0, 1, 4, 5]
    assert chosen.over_quota == 0
    all_but_one = diversify(candidates, 6, how(strength=0.0, quota=2))
    assert all_but_one.places.tolist() == [0, 1, 2, 3, 4, 5]
    assert all_but_one.over_quota == 2


def test_items_without_a_category_are_bound_by_no_quota():
    candidates = Pool(np.array([3, 2, 1], np.float32), np.eye(3, dtype=np.float32), ["", "", "a"], ["x", "y", "z"], 3)
    assert diversify(candidates, 2, how(strength=0.0, quota=1)).places.tolist() == [0, 1]


def test_of_duplicates_the_best_comes_and_the_others_when_nothing_else_is_left():
    vectors = np.eye(4, dtype=np.float32)
    titles = ["Green Tea, 100 g", "GREEN TEA  100 g", "Oolong", "Ｇreen tea – 100 g"]
    candidates = Pool(np.array([4, 3, 2, 1], np.float32), vectors, [""] * 4, titles, 4)
    chosen = diversify(candidates, 2, how(strength=0.0, collapse=True))
    assert chosen.places.tolist() == [0, 2]
    assert chosen.duplicates == 2
    assert diversify(candidates, 3, how(strength=0.0, collapse=True)).places.tolist() == [0, 1, 2]
    assert diversify(candidates, 2, how(strength=0.0)).duplicates == 0


def test_items_over_their_quota_come_before_duplicates():
    titles = ["tea", "tea", "oolong"]
    candidates = Pool(np.array([3, 2, 1], np.float32), np.eye(3, dtype=np.float32), ["a", "b", "a"], titles, 3)
    assert diversify(candidates, 2, how(strength=0.0, quota=1, collapse=True)).places.tolist() == [0, 2]


def test_duplicates_are_those_of_a_better_item_that_is_none_itself():
    angles = np.radians([0, 10, 20])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # 10° is like 0°; 20° is like 10° alone, which is out already.
    assert duplicates(directions, ["", "", ""], np.cos(np.radians(15))).tolist() == [False, True, False]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), bound=st.floats(0, 1))
def test_duplicates_are_found_as_by_comparing_all_pairs(seed: int, bound: float):
    rng = np.random.default_rng(seed)
    directions = unit(rng.standard_normal((9, 2)).astype(np.float32))
    titles = [str(name) for name in rng.choice(["tea", "Tea!", "milk", "", "bread"], 9)]
    names = [title.lower().rstrip("!") for title in titles]
    kept: list[int] = []
    for place in range(9):
        like = [directions[place] @ directions[k] > bound or (names[place] and names[place] == names[k]) for k in kept]
        if not any(like):
            kept.append(place)
    assert np.flatnonzero(~duplicates(directions, titles, bound)).tolist() == kept


def test_items_without_a_score_follow_those_that_have_one():
    candidates = pool(0, count=8, scored=3)
    for method, k in itertools.product(METHODS, (2, 5)):
        chosen = diversify(candidates, k, how(method, 1.0)).places
        assert (chosen < 3).sum() == min(k, 3)


def test_the_mean_distance_is_of_lists_of_two_items_or_more():
    directions = np.array([[1.0, 0], [0, 1], [-1, 0]], np.float32)
    assert mean_distance(np.array([[0, 1], [0, 2], [2, -1]]), directions) == pytest.approx((1 + 2) / 2)
    assert mean_distance(np.array([[0], [1]]), directions) == 0
