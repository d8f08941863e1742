"""Metrics against trec_eval, and against values worked out by hand."""

import math

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings, strategies as st

from towers.metrics.ranking_metrics import per_user, ranks, tie_order

CUTOFFS = (5, 10)


@st.composite
def rankings(draw):
    """Scores with many ties, and what each user relevant."""
    num_users, num_items = draw(st.integers(1, 4)), draw(st.integers(2, 25))
    levels = draw(st.integers(1, 6))
    scores = draw(
        st.lists(
            st.lists(st.integers(0, levels), min_size=num_items, max_size=num_items),
            min_size=num_users,
            max_size=num_users,
        )
    )
    relevant = [draw(st.sets(st.integers(0, num_items - 1), min_size=1, max_size=6)) for _ in range(num_users)]
    return np.array(scores, np.float32) / 3, relevant


@settings(max_examples=80, deadline=None)
@given(rankings())
def test_every_metric_agrees_with_trec_eval_ties_included(case):
    scores, relevant = case
    item_ids = [f"item-{(i * 7919) % 101}-{i}" for i in range(scores.shape[1])]  # not in the order of the columns
    users = torch.tensor([u for u, items in enumerate(relevant) for _ in items])
    rows = torch.tensor([i for items in relevant for i in sorted(items)])

    found = ranks(torch.from_numpy(scores), users, rows, tie_order(item_ids))
    ours = per_user(found, users, len(relevant), CUTOFFS)

    judged = {str(u): {item_ids[i]: 1 for i in items} for u, items in enumerate(relevant)}
    run = {str(u): dict(zip(item_ids, map(float, line), strict=True)) for u, line in enumerate(scores)}
    measures = {f"recall.{','.join(map(str, CUTOFFS))}", f"ndcg_cut.{','.join(map(str, CUTOFFS))}", "success.5,10"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, measures | {"recip_rank"}).evaluate(run)
    for u in range(len(relevant)):
        for k in CUTOFFS:
            assert ours[f"recall@{k}"][u] == pytest.approx(theirs[str(u)][f"recall_{k}"], abs=1e-6)
            assert ours[f"ndcg@{k}"][u] == pytest.approx(theirs[str(u)][f"ndcg_cut_{k}"], abs=1e-6)
            assert ours[f"hit_rate@{k}"][u] == pytest.approx(theirs[str(u)][f"success_{k}"], abs=1e-6)
            reciprocal = theirs[str(u)]["recip_rank"]
            assert ours[f"mrr@{k}"][u] == pytest.approx(reciprocal if reciprocal >= 1 / k - 1e-9 else 0, abs=1e-6)


@given(rankings())
def test_ranks_are_the_places_in_a_sorted_list_whatever_is_tied_or_left_out(case):
    scores, relevant = case
    scores[scores == scores.max()] = -np.inf
    ties = tie_order([f"item-{(i * 7919) % 101}-{i}" for i in range(scores.shape[1])])
    pairs = [(user, item) for user, items in enumerate(relevant) for item in sorted(items)]
    users, rows = torch.tensor(pairs).T
    twin = [
        sorted(range(scores.shape[1]), key=lambda i, u=u: (-scores[u, i], ties[i])).index(item) for u, item in pairs
    ]
    assert ranks(torch.from_numpy(scores), users, rows, ties).tolist() == [place + 1 for place in twin]


def test_metrics_of_a_ranking_worked_out_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5]])
    users, rows = torch.tensor([0, 0]), torch.tensor([1, 4])  # ranks 2 and 5
    found = ranks(scores, users, rows, tie_order(list("abcde")))
    assert found.tolist() == [2, 5]
    metrics = per_user(found, users, 1, [3])
    assert metrics["recall@3"].item() == 0.5
    assert metrics["hit_rate@3"].item() == 1
    assert metrics["mrr@3"].item() == 0.5
    assert metrics["ndcg@3"].item() == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


def test_a_constant_scorer_gains_nothing_from_ties():
    scores = torch.zeros(1, 1000)
    item_ids = [f"{i:04d}" for i in range(1000)]
    assert ranks(scores, torch.tensor([0]), torch.tensor([0]), tie_order(item_ids)).tolist() == [1000]


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        ranks(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]), torch.tensor([1]), tie_order(["a", "b"]))
