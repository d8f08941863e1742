"""Late fusion: scores on one scale, weights found on held-out items."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.columns import Split
from towers.baselines.late_fusion import Mix, choose_weights
from towers.events.history import NO_QUERY, History, Sequences
from towers.metrics.cases import Cases

USERS, ITEMS = 40, 30


class Table:
    """Scores looked up by the first item of a history."""

    def __init__(self, name: str, scores: np.ndarray) -> None:
        self.name, self.scores = name, torch.from_numpy(scores.astype(np.float32))

    def score(self, histories: Sequence[History], queries: Sequence[str]) -> Tensor:
        return self.scores[[int(h.rows[0]) for h in histories]]


@pytest.fixture
def cases() -> Cases:
    """User u had item u % ITEMS and wants the one after the next."""
    first = np.arange(USERS) % ITEMS
    sequences = Sequences(
        user_ids=np.array([f"u{u}" for u in range(USERS)], object),
        offsets=np.arange(USERS + 1) * 2,
        rows=np.stack([first, (first + 2) % ITEMS], axis=1).ravel(),
        events=np.array(["view"] * 2 * USERS, object),
        timestamps=np.full(2 * USERS, np.nan),
        queries=np.full(2 * USERS, NO_QUERY),
        query_texts=[],
        splits=np.tile([0, 1], USERS),
    )
    return Cases.held_out(sequences, [f"{i:02d}" for i in range(ITEMS)], Split.VALID, True, [10])


def answers(strength: float) -> np.ndarray:
    return strength * np.roll(np.eye(ITEMS), 2, axis=1)


def test_each_part_counts_in_units_of_its_deviation_over_all_users():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, ITEMS))
    histories = [History(np.array([i]), ["view"], np.full(1, np.nan)) for i in range(5)]
    mix = Mix("mix", [(Table("a", a), 1.0), (Table("b", 100 * b + 7), 0.5)]).calibrate(
        histories, [""] * len(histories), batch_size=2
    )
    assert mix.deviations == pytest.approx([a.std(), 100 * b.std()], rel=1e-4)
    expected = a / a.std() + 0.5 * (100 * b + 7) / (100 * b.std())
    np.testing.assert_allclose(mix.score(histories, [""] * len(histories)), expected, rtol=1e-3, atol=1e-5)


def test_a_constant_part_changes_nothing():
    histories = [History(np.array([i]), ["view"], np.full(1, np.nan)) for i in range(5)]
    mix = Mix("mix", [(Table("a", np.full((5, ITEMS), 0.1)), 1.0)]).calibrate(
        histories, [""] * len(histories), batch_size=5
    )
    assert mix.deviations == [1.0]


def test_chosen_weights_favour_the_part_that_knows_and_silence_the_one_that_misleads(cases):
    rng = np.random.default_rng(1)
    noise, wrong = rng.normal(size=(2, ITEMS, ITEMS))
    wrong -= answers(20)
    mix = Mix("mix", [(Table("noise", noise), 1.0), (Table("wrong", wrong), 1.0), (Table("knows", answers(1)), 1.0)])
    mix.calibrate([cases.history(i) for i in range(len(cases))], [""] * len(cases), batch_size=7)
    weights = choose_weights(mix, cases, grid=[0, 0.5, 2, 8], passes=3, certainty=2, batch_size=7)
    assert weights[0] == 1 and weights[1] == 0 and weights[2] >= 1
    assert weights == choose_weights(mix, cases, grid=[0, 0.5, 2, 8], passes=3, certainty=2, batch_size=40)


def test_weights_that_nothing_improves_stay(cases):
    same = Table("same", answers(1))
    mix = Mix("mix", [(same, 1.0), (same, 0.7)])
    assert choose_weights(mix, cases, grid=[0, 1, 2], passes=2, certainty=0, batch_size=9) == [1.0, 0.7]


def test_a_gain_within_chance_moves_no_weight(cases):
    """Right for one user alone: a better mean, but one user's word."""
    lucky = np.zeros((ITEMS, ITEMS))
    lucky[ITEMS - 1] = answers(1)[ITEMS - 1]  # rows beyond USERS - ITEMS stand for one user each
    noise = np.random.default_rng(2).normal(size=(ITEMS, ITEMS))
    mix = Mix("mix", [(Table("noise", noise), 1.0), (Table("lucky", lucky), 0.0)])
    assert choose_weights(mix, cases, grid=[0, 50], passes=2, certainty=0, batch_size=9) == [1.0, 50]
    assert choose_weights(mix, cases, grid=[0, 50], passes=2, certainty=2, batch_size=9) == [1.0, 0.0]
