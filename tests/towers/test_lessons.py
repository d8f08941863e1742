"""What stands in a lesson and what it costs: moments by hand, turns, the loss by a loop."""

import numpy as np
import pytest
import torch

from data_prep.columns import Split
from towers.candidate_groups import Group, PaddedGroups
from towers.history import NO_QUERY, History, Sequences
from towers.interactions import Interactions
from towers.lessons import Lesson, LessonPlan, Teaching
from towers.moments import of_events
from towers.rerank_losses import KLDivergence, MarginMSE
from towers.tokens import PADDING, EventTypes
from towers.user_attributes import UserAttributes


def some_log() -> tuple[Sequences, Interactions]:
    """User 0: items 0, then 1 and 2 at once (2 asked for), then 3 and, held out, 4. User 1: 5, asked for, then 0."""
    sequences = Sequences(
        user_ids=np.array(["a", "b"], object),
        offsets=np.array([0, 5, 7]),
        rows=np.array([0, 1, 2, 3, 4, 5, 0]),
        events=np.array(["view"] * 7, object),
        timestamps=np.array([10.0, 20, 20, 30, 40, 30, 50]),
        queries=np.array([NO_QUERY, NO_QUERY, 0, NO_QUERY, NO_QUERY, 1, NO_QUERY]),
        query_texts=["two", "five"],
        splits=np.array([0, 0, 0, 0, 1, 0, 0]),
    )
    return sequences, Interactions.of(sequences, 6, Split.VALID)


def test_moments_of_the_log_know_what_came_before_and_offer_nothing_else_that_the_user_has():
    sequences, known = some_log()

    def asked(position: int) -> str:
        return sequences.query_texts[sequences.queries[position]] if sequences.queries[position] != NO_QUERY else ""

    found = of_events(known, sequences, 100, asked, 10, np.random.default_rng(0))
    seen = [(m.history.rows.tolist(), m.query, m.rows.tolist(), m.barred.tolist()) for m in found]
    assert seen == [  # nothing is known before the first event of user 0
        ([0], "", [1, 2], [0, 3]),
        ([0], "two", [2], [0, 1, 3]),
        ([0, 1, 2], "", [3], [0, 1, 2]),
        ([], "five", [5], [0]),
        ([5], "", [0], [5]),
    ]
    few = of_events(known, sequences, 3, lambda position: "x", 1, np.random.default_rng(0))
    assert len(few) == 3
    assert all(len(moment.history.rows) <= 1 for moment in few)


def lesson(rows: list[int], teacher: list[float], query: int = PADDING) -> Lesson:
    scores = np.zeros(len(rows), np.float32)
    grades = np.array([1] + [0] * (len(rows) - 1))
    group = Group("", np.array(rows), scores, grades, np.array(teacher, np.float32))
    return Lesson(History(np.array(rows[:1]), ["view"], np.array([np.nan])), query, group)


def plan(number: int, per_batch: int) -> LessonPlan:
    lessons = [lesson([i, i + 1], [1, 0]) for i in range(number)]
    return LessonPlan(lessons, per_batch, EventTypes(["view"]), 5, UserAttributes({}), seed=3)


def test_all_lessons_come_in_turn_and_ranks_share_them():
    drawn = plan(7, per_batch=3).draw(epoch=2, rank=0, ranks=1)
    firsts = [[int(rows[0]) for rows in next(drawn).groups.rows] for _ in range(14)]
    flat = [row for batch in firsts for row in batch]
    assert [len(batch) for batch in firsts] == [3] * 14
    for turn in range(6):
        assert sorted(flat[7 * turn : 7 * turn + 7]) == list(range(7))
    shares = [plan(7, per_batch=3).draw(epoch=2, rank=rank, ranks=2) for rank in range(2)]
    for batch in firsts:
        own = [[int(rows[0]) for rows in next(share).groups.rows] for share in shares]
        assert own == [batch[0::2], batch[1::2]]
    other = plan(7, per_batch=3).draw(epoch=3, rank=0, ranks=1)
    assert [[int(rows[0]) for rows in next(other).groups.rows] for _ in range(14)] != firsts


def test_a_rank_may_have_no_lesson():
    alone = next(plan(1, per_batch=1).draw(epoch=0, rank=1, ranks=2))
    assert len(alone) == 0
    assert alone.groups.rows.shape == (0, 0)


@pytest.mark.parametrize("interests", [1, 3])
def test_lessons_cost_what_a_loop_over_pairs_says(interests: int):
    torch.manual_seed(1)
    groups = [lesson([4, 2, 0], [3.0, 0.5, 2.0]).group, lesson([1, 3], [-1.0, 1.0]).group]
    users = torch.randn(2, interests, 5, dtype=torch.float64)
    items = torch.randn(2, 3, 5, dtype=torch.float64)
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    asked = users.squeeze(1) if interests == 1 else users
    found = Teaching(MarginMSE(), 1.0).losses(asked, items, PaddedGroups.of(groups), temperature)
    for place, group in enumerate(groups):
        assert group.teacher is not None
        scores = [max(float(user @ item) for user in users[place]) / 0.2 for item in items[place]]
        off = [
            ((scores[0] - scores[j]) - float(group.teacher[0] - group.teacher[j])) ** 2
            for j in range(1, len(group.rows))
        ]
        assert float(found[place]) == pytest.approx(sum(off) / len(off), rel=1e-5)
    assert not Teaching(KLDivergence(1.0), 1.0).losses(asked, items, PaddedGroups.of(groups), temperature).requires_grad
