"""Candidate pools, and labelled ones."""

import numpy as np

from towers.candidates.candidate_pool import CandidatePools, ChannelCandidates


def test_the_best_are_in_order_and_ties_go_to_the_lower_row():
    found = ChannelCandidates.best(np.array([7, 3, 5, 1]), np.array([1.0, 2.0, 1.0, 0.5], np.float32), 3)
    assert found.rows.tolist() == [3, 5, 7]


def test_a_pool_is_the_union_with_the_rank_of_each_in_each_list():
    lists = [
        ChannelCandidates(np.array([4, 2]), np.array([2.0, 1.0], np.float32)),
        ChannelCandidates(np.array([9, 4]), np.ones(2, np.float32)),
    ]
    pool = CandidatePools.of_user(
        lists, lambda rows: np.zeros((len(rows), 2), np.float32), lambda rows: np.zeros((len(rows), 0))
    )
    assert pool.rows.tolist() == [2, 4, 9]
    assert pool.channel_ranks.tolist() == [[2, 0], [1, 2], [0, 1]]
