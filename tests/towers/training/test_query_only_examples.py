"""Queries without a history as training examples."""

import numpy as np
import torch

from data_prep.columns import Split
from towers.events.history import Sequences
from towers.losses.softmax import excluded_candidates
from towers.metrics.judgements import Judgements
from towers.modules.tokens import EventTypes
from towers.training.batches import BatchSettings, QueryPlan, TrainingBatches
from towers.training.query_only_examples import QueryOnlyPlan

TEXTS = ["red pot", "blue pot", "pan", "pot", "pan", "pot"]  # three items, texts derived from them, a judged query
DERIVED = np.array([[3, -1], [3, 4], [-1, -1]])
JUDGED = Judgements(["pot"], [np.array([0, 1, 2])], [np.array([3, 1, 0])])


def plan(rate: float = 1.0, alone: float = 0.0) -> QueryOnlyPlan:
    return QueryOnlyPlan.of(JUDGED, 5, rate, DERIVED, alone, TEXTS)


def batches(examples: QueryOnlyPlan, tokens: int = 16) -> TrainingBatches:
    nothing = np.zeros(0, np.int64)
    nobody = Sequences(
        np.zeros(0, object), np.zeros(1, np.int64), nothing, np.zeros(0, object), np.zeros(0), nothing, [], nothing
    )
    queries = QueryPlan.of(nobody, DERIVED, 0.0, len(TEXTS))
    ends = nobody.ends(Split.VALID)
    settings = BatchSettings(max_history=4, tokens_per_batch=tokens, query_rate=0.0, signal_dropout=0.0, seed=0)
    return TrainingBatches(nobody, ends, EventTypes([]), queries, settings, None, examples)


def test_judged_items_count_by_their_gain_and_worthless_ones_not_at_all() -> None:
    examples = plan().draw(np.random.default_rng(0))
    assert sorted(zip(examples.texts, examples.rows, examples.weights, strict=True)) == [
        (5, 0, 1.0),
        (5, 1, np.float32(1 / 7)),
    ]


def test_the_rate_says_how_often_a_pair_is_seen() -> None:
    counts = [len(plan(rate).draw(np.random.default_rng(0))) for rate in (0.0, 0.5, 1.0, 2.5)]
    assert counts == [0, 1, 2, 5]
    assert plan(2.5).target_counts().tolist() == [2.5, 2.5, 0]


def test_items_answer_their_derived_texts() -> None:
    drawn = [plan(rate=0, alone=1).draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {(text, row) for examples in drawn for text, row in zip(examples.texts, examples.rows, strict=True)} == {
        (3, 0),
        (3, 1),
        (4, 1),
    }
    assert all(sorted(examples.rows) == [0, 1] for examples in drawn)
    assert plan(rate=0, alone=1).target_counts().tolist() == [1, 1, 0]
    assert plan(rate=0).empty and not plan().empty


def test_no_answer_to_the_same_text_is_a_negative_wherever_it_comes_from() -> None:
    examples = plan(rate=1, alone=1).draw(np.random.default_rng(1))
    pot = examples.groups[examples.texts == 5][0]
    assert (examples.groups[examples.texts == 3] == pot).all()
    (known,) = examples.known(np.array([pot]))
    assert known.tolist() == [0, 1]


def test_a_shop_without_events_trains_on_queries_alone() -> None:
    (batch,) = list(batches(plan()))
    assert batch.tokens.rows.tolist() == [[5], [5]]
    assert batch.positions.tolist() == [1, 1]  # after the query, never before it
    assert sorted(batch.positives.tolist()) == [0, 1]
    assert batch.users.tolist() == [0, 0]
    assert sorted(batch.weights.tolist()) == [np.float32(1 / 7), 1.0]
    excluded = excluded_candidates(
        batch.users, batch.known_users, batch.known_rows, batch.positives, torch.tensor([0, 1, 2])
    )
    assert excluded.tolist() == [[True, True, False]] * 2


def test_batches_hold_as_many_queries_as_tokens_and_processes_share_them() -> None:
    assert len(batches(plan(rate=5), tokens=4)) == len(list(batches(plan(rate=5), tokens=4))) == 3
    whole = batches(plan(rate=5), tokens=4)
    shares = []
    for rank in range(2):
        part = batches(plan(rate=5), tokens=4)
        part.rank, part.world_size = rank, 2
        shares.append(list(part))
    for batch, first, second in zip(whole, *shares, strict=True):
        assert sorted(batch.positives.tolist()) == sorted([*first.positives.tolist(), *second.positives.tolist()])
