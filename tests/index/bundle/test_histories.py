"""What a bundle remembers of its users."""

import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st

from index.bundle.histories import Histories
from towers.events.history import Sequences


def sequences(lengths, seed=0):
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    names = np.array(["view", "purchase"], dtype=object)
    return Sequences(
        user_ids=np.array([f"u{number}" for number in range(len(lengths))], dtype=object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        rows=rng.integers(100, size=total),
        events=names[rng.integers(2, size=total)],
        timestamps=np.where(rng.random(total) < 0.1, np.nan, np.arange(total, dtype=float)),
        queries=np.full(total, -1),
        query_texts=[],
        splits=np.zeros(total, np.int64),
    )


@given(lengths=st.lists(st.integers(1, 9), max_size=8), limit=st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_each_user_keeps_the_newest_events_oldest_first(tmp_path_factory, lengths, limit):
    everything = sequences(lengths)
    path = tmp_path_factory.mktemp("histories") / "histories.parquet"
    Histories.collect(everything, limit).save(path)
    kept = Histories.load(path)
    assert len(kept) == len(lengths)
    for user, user_id in enumerate(everything.user_ids):
        expected = everything.history(user, int(everything.offsets[user + 1]), limit)
        found = kept.of(user_id)
        assert found.rows.tolist() == expected.rows.tolist()
        assert list(found.events) == list(expected.events)
        np.testing.assert_array_equal(found.timestamps, expected.timestamps)


def test_attributes_are_kept_with_the_users_they_belong_to(tmp_path):
    log = sequences([2, 3, 1])
    users = pd.DataFrame({"user_id": ["u2", "u0"], "age": ["65+", "19-24"], "row": ["x", None], "hat": ["red", "red"]})
    Histories.collect(log.with_attributes(users, ["age", "row"]), 2).save(tmp_path / "h.parquet")
    kept = Histories.load(tmp_path / "h.parquet")
    expected = [{"age": "19-24", "row": ""}, {"age": "", "row": ""}, {"age": "65+", "row": "x"}]
    assert [kept.of(f"u{user}").attributes for user in range(3)] == expected


def test_an_unknown_user_has_no_history():
    assert Histories.collect(sequences([2]), 5).of("stranger") is None


def test_arrays_read_back_have_the_types_the_towers_expect(tmp_path):
    Histories.collect(sequences([3, 4]), 5).save(tmp_path / "h.parquet")
    history = Histories.load(tmp_path / "h.parquet").of("u1")
    assert history.rows.dtype == np.int64
    assert history.timestamps.dtype == np.float64
    assert all(isinstance(event, str) for event in history.events)
