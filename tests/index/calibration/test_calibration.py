"""Search parameters are found against exact search."""

import numpy as np
import pytest

from index.calibration.calibration import Yardstick, calibrate
from index.calibration.measures import index_recall, recall_against
from index.search.effort import SearchParameters
from index.search.exact import exact_search
from index.search.factory import Plan
from index.search.item_index import ItemIndex
from tests.index.indexes import make_index


@pytest.fixture(scope="module")
def catalogue(clustered):
    return clustered(6000, 32, 0)


@pytest.fixture(scope="module")
def ivf(catalogue):
    return make_index(Plan("IVF64,PQ32x4fs", "test"), catalogue, 64, 0, False)


def test_the_target_is_reached_on_users_that_had_no_say(ivf, catalogue, users):
    calibration = calibrate(ivf, Yardstick.of(catalogue, users(catalogue, 200, 1), 20), target=0.97)
    assert calibration.reached
    assert calibration.recall >= 0.95
    fresh = users(catalogue, 100, 2)
    assert index_recall(ItemIndex(catalogue, ivf, calibration.parameters), fresh, 20) >= 0.95


def test_no_cheaper_point_of_the_curve_reached_the_target(ivf, catalogue, users):
    calibration = calibrate(ivf, Yardstick.of(catalogue, users(catalogue, 200, 1), 20), target=0.9)
    chosen = (calibration.parameters.nprobe, calibration.parameters.rescore)
    chosen_at = [(point.nprobe, point.rescore) for point in calibration.curve].index(chosen)
    assert all(point.recall < 0.9 for point in calibration.curve[:chosen_at])
    assert calibration.curve[chosen_at].recall >= 0.9


def test_the_curve_agrees_with_searching(ivf, catalogue, users):
    everyone = users(catalogue, 60, 3)
    calibration = calibrate(ivf, Yardstick.of(catalogue, everyone, 20), target=0.9)
    for point in calibration.curve[::6]:
        searched = ItemIndex(catalogue, ivf, SearchParameters(point.nprobe, point.rescore, 20))
        # Searching may do better, falling back where too little was found, and 4-bit scores tie at the last candidate.
        assert index_recall(searched, everyone[::2], 20) >= point.recall - 0.005


def test_the_same_users_give_the_same_parameters(ivf, catalogue, users):
    first, second = (
        calibrate(ivf, Yardstick.of(catalogue, users(catalogue, 50, 4), 20), target=0.95) for _ in range(2)
    )
    assert first.parameters == second.parameters
    assert first.recall == second.recall


def test_an_unreachable_target_gives_the_best_there_is_and_says_so(ivf, catalogue, users):
    calibration = calibrate(ivf, Yardstick.of(catalogue, users(catalogue, 50, 5), 20), target=1.1)
    assert not calibration.reached
    assert calibration.recall >= 0.99


@pytest.mark.parametrize("count", [1, 3])
def test_a_flat_index_recalls_everything(count):
    vectors = np.eye(count, 8, dtype=np.float32)
    flat = make_index(Plan("Flat", "test"), vectors, 64, 0, False)
    calibration = calibrate(flat, Yardstick.of(vectors, np.ones((1, 8), np.float32), 100), target=0.97)
    assert calibration.recall == 1.0
    assert calibration.parameters.k == count
    assert len(calibration.curve) == 1


def test_recall_worked_out_by_hand():
    vectors, query = np.array([[4], [3], [2], [1]], np.float32), np.ones((1, 1), np.float32)
    without_the_second = exact_search(vectors, query, 2, [np.array([1])])
    assert recall_against(without_the_second, exact_search(vectors, query, 2), vectors, query) == 0.5
    first = exact_search(vectors, query, 1, [np.array([1])])
    assert recall_against(first, exact_search(vectors, query, 1), vectors, query) == 1.0


def test_an_equally_good_twin_counts_as_found():
    vectors, query = np.ones((5, 2), np.float32), np.ones((1, 2), np.float32)
    twins = exact_search(vectors, query, 2, [np.arange(3)])
    assert recall_against(twins, exact_search(vectors, query, 2), vectors, query) == 1.0


def test_every_interest_is_a_query_and_a_users_interests_stay_in_one_half(ivf, catalogue, users):
    pairs = users(catalogue, 80, 6).reshape(40, 2, 32)
    calibration = calibrate(ivf, Yardstick.of(catalogue, pairs, 20), target=0.9)
    # The even users' vectors first, then the odd ones', dealt out by turns: the halves of a calibration of single ones.
    singles = np.stack([pairs[::2].reshape(-1, 32), pairs[1::2].reshape(-1, 32)], axis=1).reshape(-1, 32)
    alone = calibrate(ivf, Yardstick.of(catalogue, singles, 20), target=0.9)
    assert calibration.parameters == alone.parameters
    assert calibration.recall == alone.recall
    assert (calibration.users, alone.users) == (40, 80)
