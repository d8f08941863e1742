"""Histories as token batches: every training event a target once, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from data_prep.columns import Split
from towers.events.history import NO_QUERY, History, Sequences, basket_starts
from towers.events.user_attributes import UserAttributes
from towers.modules.tokens import PADDING, EventTypes, gap_buckets, tokenize
from towers.training.batches import BatchSettings, QueryPlan, TrainingBatches

EVENTS = 120
"""Every event has an item of its own, so that a row says which event it was."""


def sequences_of(lengths: list[int], held_out: int = 0, basket: int = 1) -> Sequences:
    """Users with histories of given lengths, `basket` events an instant; the last `held_out` are for validation."""
    total = sum(lengths)
    splits = [Split.VALID if n - i <= held_out else Split.TRAIN for n in lengths for i in range(n)]
    return Sequences(
        user_ids=np.array([f"u{i}" for i in range(len(lengths))], object),
        offsets=np.cumsum([0, *lengths]),
        rows=np.arange(total),
        events=np.array(["view"] * total, object),
        timestamps=np.concatenate([np.arange(n) // basket * 60.0 + 1000 * i for i, n in enumerate(lengths)]),
        queries=np.full(total, NO_QUERY),
        query_texts=[],
        splits=np.array(splits, np.int64),
    )


def batches_of(sequences: Sequences, max_history: int = 4, tokens: int = 16, rate: float = 0.0) -> TrainingBatches:
    derived = np.arange(EVENTS)[:, np.newaxis] + EVENTS  # each item's own query text stands EVENTS rows further down
    plan = QueryPlan.of(sequences, derived, rate, 2 * EVENTS)
    how = BatchSettings(max_history, tokens_per_batch=tokens, query_rate=rate, signal_dropout=0.2, seed=3)
    return TrainingBatches(sequences, sequences.ends(Split.VALID), EventTypes(["view"]), plan, how)


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=8),
    held_out=st.integers(0, 2),
    epoch=st.integers(0, 3),
    rate=st.sampled_from([0.0, 0.5]),
    basket=st.integers(1, 4),
)
def test_every_training_event_is_predicted_once_from_strictly_earlier_ones(lengths, held_out, epoch, rate, basket):
    sequences = sequences_of(lengths, held_out, basket)
    batches = batches_of(sequences, rate=rate)
    batches.epoch = epoch
    found = []
    for batch in batches:
        for window, position, positive in zip(batch.windows, batch.positions, batch.positives, strict=True):
            known = batch.tokens.rows[window, :position].tolist()
            assert PADDING not in known
            if known and known[-1] >= EVENTS:  # asked for by its own query
                assert known[-1] - EVENTS == positive
            else:
                found.append(int(positive))
            instant = sequences.timestamps[positive]
            assert all(sequences.timestamps[row] < instant for row in known if row < EVENTS)
            # Nothing between the earliest token and the event is missing.
            items = [row for row in known if row < EVENTS]
            first = items[0] if items else None
            mine = [e for e in range(int(positive)) if first is not None and e >= first]
            assert items == [e for e in mine if sequences.timestamps[e] < instant and same_user(sequences, e, positive)]
    assert sorted(found) == np.flatnonzero(sequences.splits == Split.TRAIN).tolist()
    assert batches.target_counts().sum() == len(found)


def same_user(sequences: Sequences, one: int, other: int) -> bool:
    return np.searchsorted(sequences.offsets, one, "right") == np.searchsorted(sequences.offsets, int(other), "right")


def test_queries_of_a_basket_stand_before_it_and_each_asks_for_its_own_item():
    sequences = sequences_of([4], basket=2)
    (batch,) = list(batches_of(sequences, rate=1.0))
    q = EVENTS
    assert batch.tokens.rows.tolist() == [[q, q + 1, 0, 1, q + 2, q + 3]]
    assert list(zip(batch.positions.tolist(), batch.positives.tolist(), strict=True)) == [
        (0, 0), (0, 1), (4, 2), (4, 3),
        (1, 0), (2, 1), (5, 2), (6, 3),
    ]  # fmt: skip


def test_events_without_times_follow_each_other_one_by_one():
    assert basket_starts(np.array([np.nan, np.nan, np.nan])).tolist() == [0, 1, 2]
    assert basket_starts(np.array([1.0, 1.0, 2.0, 2.0, 2.0])).tolist() == [0, 0, 2, 2, 2]


def test_an_epoch_is_the_same_twice_and_differs_from_the_next():
    batches = batches_of(sequences_of([9, 14, 3, 20]))

    def epoch(number: int) -> list[list[int]]:
        batches.epoch = number
        return [batch.positives.tolist() for batch in batches]

    assert epoch(0) == epoch(0)
    assert epoch(0) != epoch(1)


def test_batches_keep_to_the_token_budget_and_their_announced_number():
    batches = batches_of(sequences_of([9, 14, 3, 20, 1, 1, 1, 8]))
    seen = list(batches)
    assert len(seen) == len(batches)
    assert all(len(batch.positives) <= 16 for batch in seen)


def test_windows_of_one_user_share_an_index_and_those_of_others_do_not():
    batches = batches_of(sequences_of([8, 4]), tokens=1000)
    (batch,) = list(batches)
    assert sorted(np.bincount(batch.users).tolist()) == [4, 8]


def test_answering_reads_the_newest_events_and_then_the_query():
    types = EventTypes(["view"])
    history = History(np.array([5, 6, 7]), ["view", "unheard of", "view"], np.array([0.0, 10.0, 20.0]))
    tokens = tokenize([history, History.empty()], [40, PADDING], types, max_history=2, attributes=UserAttributes({}))
    assert tokens.rows.tolist() == [[6, 7, 40], [PADDING] * 3]
    assert tokens.events[0].tolist() == [0, *types.codes(["view"]), types.query]
    assert tokens.lengths.tolist() == [3, 0]


def test_a_batch_of_answers_is_its_members_beside_each_other():
    rng = np.random.default_rng(0)
    types, attributes = EventTypes(["view", "buy"]), UserAttributes({"club": ["tea"]})
    lengths, queries = [4, 0, 7, 1, 3], [PADDING, 90, 91, PADDING, 92]
    histories = [
        History(rng.integers(0, 50, n), ["view", "buy", "?", "buy"] * 2, np.cumsum(rng.integers(0, 1000, n)) * 1.0)
        for n in lengths
    ]
    histories = [replace(h, events=h.events[:n]) for h, n in zip(histories, lengths, strict=True)]
    together = tokenize(histories, queries, types, 5, attributes)
    for i, (history, query) in enumerate(zip(histories, queries, strict=True)):
        alone = tokenize([history], [query], types, 5, attributes)
        length = int(alone.lengths[0])
        assert length == together.lengths[i] == min(lengths[i], 5) + (query != PADDING)
        assert together.rows[i].tolist() == alone.rows[0].tolist() + [PADDING] * (together.rows.shape[1] - length)
        assert together.events[i, :length].tolist() == alone.events[0].tolist()
        expected = gap_buckets(history.timestamps[-5:]).tolist() + [0] * (query != PADDING)
        assert together.gaps[i, :length].tolist() == alone.gaps[0].tolist() == expected


def test_gaps_are_doublings_of_seconds_and_zero_where_unknown():
    stamps = np.array([100.0, 100.0, 101.0, 104.0, np.nan, 300.0])
    assert gap_buckets(stamps).tolist() == [0, 1, 2, 3, 0, 0]
    assert gap_buckets(np.zeros(0)).tolist() == []
    assert torch.tensor(gap_buckets(np.array([0.0, 1e12]))).max() == 31


def test_an_epoch_is_packed_once_for_its_length_and_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[int] = []
    pack = TrainingBatches._packed

    def counted(batches: TrainingBatches, windows: NDArray[np.int64]) -> list[slice]:
        packed.append(batches.epoch)
        return pack(batches, windows)

    monkeypatch.setattr(TrainingBatches, "_packed", counted)
    batches = batches_of(sequences_of([5, 9, 14]))
    assert len(batches) == len(list(batches)) == len(list(batches))
    batches.epoch = 1
    assert len(list(batches)) == len(batches)
    assert packed == [0, 1]


def test_asking_for_the_length_changes_no_batch() -> None:
    asked, unasked = batches_of(sequences_of([5, 9, 14]), rate=0.5), batches_of(sequences_of([5, 9, 14]), rate=0.5)
    len(asked)
    for one, other in zip(asked, unasked, strict=True):
        assert torch.equal(one.tokens.rows, other.tokens.rows) and torch.equal(one.positives, other.positives)
