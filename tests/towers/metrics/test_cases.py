"""Evaluation cases against loops over users that are obviously right."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from data_prep.columns import Split
from towers.events.history import NO_QUERY, Sequences
from towers.metrics.cases import Cases, EvaluationBatches
from towers.metrics.cold_items import cold_cases

ITEMS = 5


def log(*users: list[tuple[int, int]]) -> Sequences:
    """Sequences of users of (item, split) pairs each."""
    events = [event for user in users for event in sorted(user, key=lambda event: event[1])]
    total = len(events)
    return Sequences(
        user_ids=np.array([f"u{i}" for i in range(len(users))], object),
        offsets=np.cumsum([0, *map(len, users)]),
        rows=np.array([item for item, _ in events], np.int64),
        events=np.full(total, "view", object),
        timestamps=np.arange(total, dtype=float),
        queries=np.full(total, NO_QUERY),
        query_texts=[],
        splits=np.array([split for _, split in events], np.int64),
    )


users_of_events = st.lists(
    st.lists(st.tuples(st.integers(0, ITEMS - 1), st.sampled_from([*Split])), max_size=8), min_size=1, max_size=6
)


@settings(max_examples=100, deadline=None)
@given(users=users_of_events, exclude_seen=st.booleans())
def test_a_case_is_a_user_with_an_event_held_out_and_its_truth_the_distinct_items_of_them(users, exclude_seen):
    cases = Cases.held_out(log(*users), list("abcde"), Split.VALID, exclude_seen, [10])
    expected = {}
    for user, events in enumerate(users):
        seen = {item for item, split in events if split < Split.VALID} if exclude_seen else set()
        if relevant := {item for item, split in events if split == Split.VALID} - seen:
            expected[user] = sorted(relevant)
    assert dict(zip(cases.users.tolist(), [rows.tolist() for rows in cases.truth], strict=True)) == expected
    assert cases.users.tolist() == sorted(expected)
    before = [sum(len(events) for events in users[:user]) for user in expected]
    known = [sum(split < Split.VALID for _, split in users[user]) for user in expected]
    assert cases.ends.tolist() == np.add(before, known).tolist()


@settings(max_examples=100, deadline=None)
@given(users=users_of_events, exclude_seen=st.booleans(), size=st.integers(1, 4))
def test_a_batch_has_the_pairs_of_its_cases_one_case_after_the_other(users, exclude_seen, size):
    cases = Cases.held_out(log(*users), list("abcde"), Split.TEST, exclude_seen, [10])
    for batch in EvaluationBatches(cases, size):
        chosen = batch.places.tolist()
        truth = [(i, row) for i, case in enumerate(chosen) for row in cases.truth[case].tolist()]
        seen = [(i, row) for i, case in enumerate(chosen) for row in cases.seen(case).tolist()]
        assert list(zip(batch.truth_users.tolist(), batch.truth_rows.tolist(), strict=True)) == truth
        assert list(zip(batch.seen_users.tolist(), batch.seen_rows.tolist(), strict=True)) == seen


@settings(max_examples=50, deadline=None)
@given(users=users_of_events, counts=st.lists(st.integers(0, 1), min_size=ITEMS, max_size=ITEMS))
def test_cold_cases_keep_what_no_training_event_is_of(users, counts):
    cases = Cases.held_out(log(*users), list("abcde"), Split.TEST, False, [10])
    cases = replace(cases, queries=[f"query {user}" for user in cases.users])
    cold = cold_cases(cases, np.array(counts))
    expected = {
        int(user): kept
        for user, rows in zip(cases.users, cases.truth, strict=True)
        if (kept := [row for row in rows.tolist() if not counts[row]])
    }
    assert dict(zip(cold.users.tolist(), [rows.tolist() for rows in cold.truth], strict=True)) == expected
    assert list(cold.queries) == [f"query {user}" for user in expected]


def test_a_random_few_of_the_cases_are_the_same_few_for_a_seed():
    everyone = log(*[[(item, Split.TEST)] for item in range(ITEMS)])
    few = [Cases.held_out(everyone, list("abcde"), Split.TEST, True, [10], max_users=2, seed=4) for _ in range(2)]
    expected = np.sort(np.random.default_rng(4).choice(ITEMS, 2, replace=False))
    for cases in few:
        assert cases.users.tolist() == expected.tolist()
        assert [rows.tolist() for rows in cases.truth] == [[user] for user in expected]


@pytest.mark.parametrize("split", [Split.VALID, Split.TEST])
def test_there_are_no_cases_where_nothing_is_held_out(split: Split):
    cases = Cases.held_out(log([(0, Split.TRAIN)], []), list("abcde"), split, True, [10])
    assert len(cases) == 0
    assert list(EvaluationBatches(cases, 4)) == []
