"""Whether a cross-encoder is better than recall, by hand on shortlists."""

import numpy as np
import pytest

from tests.towers.ranking.shortlist import shortlist
from towers.metrics.bootstrap import Bootstrap
from towers.ranking.comparison import choose_ranker_weight, compare_orders, ndcg_of, not_retrieved_share, shortlist_ndcg


def test_ndcg_of_a_shortlist_counts_what_is_not_retrieved():
    one = shortlist([0, 1, 0], not_retrieved=[1])
    found = shortlist_ndcg(one, np.array([0.1, 0.9, 0.5], np.float32))
    assert found == pytest.approx(1 / (1 + 1 / np.log2(3)))
    graded = shortlist([2, 0, 1])
    assert shortlist_ndcg(graded, np.array([0, 2, 1])) == pytest.approx((1 / np.log2(3) + 3 / 2) / (3 + 1 / np.log2(3)))
    assert shortlist_ndcg(shortlist([0, 0]), np.zeros(2)) == 0


def test_equal_scores_keep_the_recall_order():
    assert shortlist_ndcg(shortlist([1, 0, 0]), np.zeros(3)) == 1


def test_the_weight_is_the_smallest_that_orders_best():
    lists = [shortlist([0, 1, 0]), shortlist([1, 0, 0])]  # recall: 1, .5, 0
    read = [np.array([0, 1, 0], np.float32), np.array([0, 0.2, 0], np.float32)]
    assert choose_ranker_weight(lists, read, 1.0, [2, 1, 0.7, 0.1, 0]) == 0.7
    assert choose_ranker_weight(lists, [-part for part in read], 1.0, [0, 0.5, 1]) == 0
    np.testing.assert_allclose(ndcg_of(lists, read, 1.0), [1, 1])
    np.testing.assert_allclose(ndcg_of(lists, read, 0.0), [1, 1 / np.log2(3)])


def test_the_difference_is_taken_case_by_case():
    lists = [shortlist([1, 0], not_retrieved=[1]), shortlist([0, 1]), shortlist([1, 0])]
    recalled = [shortlist_ndcg(one, one.scores) for one in lists]
    found = compare_orders(lists, np.array(recalled) + 0.1, Bootstrap(200, 0.95, 0))
    assert found.cases == 3
    assert found.before == pytest.approx(np.mean(recalled))
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.better and not found.worse
    assert not_retrieved_share(lists) == pytest.approx(1 / 4)
    same = compare_orders(lists, np.array(recalled), Bootstrap(200, 0.95, 0))
    assert not same.better and not same.worse
